// Posteriors whose weights share ζ: what is drawn, and what its density is said to be (docs/math.md, section 3b).
import { beforeAll, expect, test } from 'vitest';
import { logDensity } from '../../src/distributions/normal.js';
import { createEngine, type Engine, f32, type NdArray, seedKey, tf } from '../../src/engine/index.js';
import { weightShape } from '../../src/network/index.js';
import { flow, flowParameters, inverseFlow } from '../../src/posteriors/flow.js';
import { groupCount, posteriors, type Tensors } from '../../src/posteriors/index.js';
import { normal, runOn } from '../engine/reference.js';
import { bent, conv, dense, parametersOf, semiImplicit } from './shared.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const cases = ['semi-implicit', 'semi-implicit-filter', 'semi-implicit-layer', 'mnf'].flatMap((name) =>
  [conv, dense].map((layer) => ({ name, kind: layer.kind, layer })),
);

test.each(cases)(
  '$name, $kind: the draw of the bound is the sample of predictions',
  async ({ name, layer }) => {
    const { shared, size } = posteriors[name].latent!(layer);
    const groups = groupCount(layer, shared);
    const weights = normal(520, ...weightShape(layer));
    const latent = normal(521, groups, size);
    const { drawn, sampled, standard } = await runOn(
      engine,
      (inputs: { parameters: Tensors; weights: tf.Tensor; latent: tf.Tensor }) => {
        const q = semiImplicit(name, layer, inputs.parameters);
        const noise = { kernels: tf.reshape(inputs.weights, [groups, -1]), latent: inputs.latent };
        return {
          drawn: q.draw(noise).w,
          standard: (q.standard ?? q).draw(noise).w,
          sampled: posteriors[name].sample(layer, inputs.parameters, {
            weights: inputs.weights,
            latent: inputs.latent,
          }),
        };
      },
      { parameters: parametersOf(name, layer, 0.3), weights, latent } as never,
    );
    const values = (x: unknown) => (x as NdArray).data;
    expect((drawn as unknown as NdArray).shape[0]).toBe(groups);
    for (const [i, x] of values(sampled).entries()) {
      expect(values(drawn)[i]).toBeCloseTo(x, 5);
      expect(values(standard)[i]).toBeCloseTo(x, 5);
    }
  },
);

test.each(cases)('$name, $kind: log q(w|ζ) is the normal density around E(w|ζ)', async ({ name, layer }) => {
  const { shared, size } = posteriors[name].latent!(layer);
  const groups = groupCount(layer, shared);
  const zeros = f32(weightShape(layer));
  const w = normal(530, groups, zeros.data.length / groups);
  const latent = normal(531, 1, groups, size);
  const { value, direct } = await runOn(
    engine,
    (inputs: { parameters: Tensors; w: tf.Tensor; latent: tf.Tensor; zeros: tf.Tensor }) => {
      const q = semiImplicit(name, layer, inputs.parameters);
      const { density } = q.standard ?? q;
      const one = tf.reshape(inputs.latent, [groups, size]);
      const noise = { weights: inputs.zeros, latent: one };
      const rows = (x: tf.Tensor) => tf.reshape(x, [groups, -1]);
      return {
        value: density.logLikelihood(inputs.w, inputs.latent), // [1, g]
        direct: logDensity(inputs.w, {
          mean: rows(posteriors[name].sample(layer, inputs.parameters, noise)),
          logStd: rows(inputs.parameters.logStd),
        }),
      };
    },
    { parameters: parametersOf(name, layer, 0.3), w, latent, zeros } as never,
  );
  for (const [i, x] of (direct as unknown as NdArray).data.entries())
    expect((value as unknown as NdArray).data[i]).toBeCloseTo(x, 4);
});

test('a flow is undone by its inverse, whose determinant is that of differences', async () => {
  const size = 3;
  const parameters = bent(flowParameters('f', size, seedKey(540)), 0.3);
  const n = 50;
  const STEP = 1e-2;
  const x = normal(550, n, size);
  const moved = f32([2 * size, n, size]);
  for (let j = 0; j < 2 * size; j++)
    for (let i = 0; i < n * size; i++)
      moved.data[j * n * size + i] = x.data[i] + (i % size === j >> 1 ? (j % 2 ? -STEP : STEP) : 0);
  const out = (await runOn(
    engine,
    (inputs: { parameters: Tensors; x: tf.Tensor; moved: tf.Tensor }) => {
      const y = flow(inputs.parameters, 'f', inputs.x);
      return { ...inverseFlow(inputs.parameters, 'f', y), moved: flow(inputs.parameters, 'f', inputs.moved) };
    },
    { parameters, x, moved } as never,
  )) as unknown as Record<'x' | 'logDeterminant' | 'moved', NdArray>;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < size; j++) expect(out.x.data[i * size + j]).toBeCloseTo(x.data[i * size + j], 5);
    const at = (j: number, k: number) => out.moved.data[(j * n + i) * size + k];
    const jacobian = Array.from({ length: size }, (_, j) =>
      Array.from({ length: size }, (_, k) => (at(2 * j, k) - at(2 * j + 1, k)) / (2 * STEP)),
    );
    const [[a, b, c], [d, e, f], [g, h, l]] = jacobian;
    const determinant = a * (e * l - f * h) - b * (d * l - f * g) + c * (d * h - e * g);
    expect(out.logDeterminant.data[i]).toBeCloseTo(-Math.log(determinant), 2);
  }
});
