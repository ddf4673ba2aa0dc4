// Way 3: gradients of E_q log q(w) by chains over ζ, as a network's training asks for them, against the closed form for a
// linear q, and against quadrature for one that is not.
import { expect } from 'vitest';
import { CHAIN } from '../../../src/bounds/settings.js';
import { logDensity, logStandardDensity, reparameterise } from '../../../src/distributions/normal.js';
import { type Engine, f32, type NdArray, spec, tf, valueAndGradients } from '../../../src/engine/index.js';
import type { SemiImplicitPosterior, Tensors } from '../../../src/posteriors/index.js';
import { normal, runOn } from '../../engine/reference.js';
import { type Estimate, estimate, expectMean } from '../../monte-carlo.js';
import { largestError, type Proof, type Subject } from './proof.js';

/** w = a f(ζ) + b ζ + σ ε with ζ, ε ~ N(0, 1). */
const at = { a: 0.6, b: 0.9, logStd: Math.log(0.5) };
const NAMES = ['a', 'b', 'logStd'] as const;

interface Curve {
  of(latent: tf.Tensor): tf.Tensor;
  at(z: number): number;
}
const linear: Curve = { of: (latent) => latent, at: (z) => z };
const bent: Curve = { of: (latent) => tf.sin(tf.mul(latent, 2)), at: (z) => Math.sin(2 * z) };

/** The parameters are [n, 1]: every draw has its own, and so a gradient of its own. s(ζ|w) = N(c w, 1). */
const posterior =
  ({ of }: Curve) =>
  (parameters: Tensors): SemiImplicitPosterior => {
    const { a, b, logStd } = parameters;
    const given = (latent: tf.Tensor) => ({ mean: tf.add(tf.mul(a, of(latent)), tf.mul(b, latent)), logStd });
    return {
      kind: 'semi-implicit',
      density: {
        latentSize: 1,
        encode: (w) => ({ mean: tf.mul(parameters['auxiliary-posterior.c'], w), logStd: tf.zerosLike(w) }),
        logLikelihood: (w, latent) => logDensity(w, given(latent)),
        logLatent: logStandardDensity,
      },
      draw: ({ kernels, latent }) => ({ w: reparameterise(given(latent), kernels), latent }),
    };
  };

/** E_q log q(w) by quadrature over ζ and w. */
export function negativeEntropy(curve: Curve, { a, b, logStd }: typeof at): number {
  const std = Math.exp(logStd);
  const means: [mean: number, weight: number][] = [];
  for (let z = -6; z <= 6; z += 0.02)
    means.push([a * curve.at(z) + b * z, (0.02 * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI)]);
  let sum = 0;
  for (let w = -10; w <= 10; w += 0.05) {
    let q = 0;
    for (const [mean, weight] of means) q += weight * Math.exp(-0.5 * ((w - mean) / std) ** 2);
    q /= Math.sqrt(2 * Math.PI) * std;
    if (q > 0) sum += 0.05 * q * Math.log(q);
  }
  return sum;
}

function gradientByQuadrature(curve: Curve): typeof at {
  const step = 1e-4;
  const derivative = (name: keyof typeof at) =>
    (negativeEntropy(curve, { ...at, [name]: at[name] + step }) -
      negativeEntropy(curve, { ...at, [name]: at[name] - step })) /
    (2 * step);
  return { a: derivative('a'), b: derivative('b'), logStd: derivative('logStd') };
}

/** E_q log q of a linear q is −½ log 2πe((a + b)² + σ²). */
export const closedForm = (() => {
  const variance = (at.a + at.b) ** 2 + Math.exp(2 * at.logStd);
  return {
    value: -0.5 * Math.log(2 * Math.PI * Math.E * variance),
    quadrature: () => negativeEntropy(linear, at),
    gradient: {
      a: -(at.a + at.b) / variance,
      b: -(at.a + at.b) / variance,
      logStd: -Math.exp(2 * at.logStd) / variance,
    },
  };
})();

const K = 3;

async function gradients({ unbiasedLogQ, chainNoise, upperBound }: Subject, engine: Engine, curve: Curve) {
  const n = 5000;
  const specs = {
    ...chainNoise(CHAIN, n, 1),
    kernels: spec([n, 1]),
    mixing: spec([n, 1]),
    proposed: spec([K, n, 1]),
  };
  const noise = Object.fromEntries(
    Object.entries(specs).map(([name, { shape }], i) => [name, normal(800 + i, ...shape)]),
  );
  const parameters = Object.fromEntries(
    Object.entries({ ...at, 'auxiliary-posterior.c': 0.3, logStep: Math.log(0.6) }).map(([name, value]) => [
      name,
      name === 'logStep' ? f32([], Float32Array.of(value)) : f32([n, 1], new Float32Array(n).fill(value)),
    ]),
  );
  const q = posterior(curve);
  const result = await runOn(
    engine,
    (inputs: { parameters: Tensors; noise: Tensors }) => {
      const draw = (parameters: Tensors) =>
        q(parameters).draw({ kernels: inputs.noise.kernels, latent: inputs.noise.mixing });
      const unbiased = valueAndGradients(
        ({ logStep, ...parameters }: Record<string, tf.Tensor>) => {
          const { logQ, acceptance } = unbiasedLogQ(
            q,
            parameters,
            draw(parameters).w,
            inputs.noise as never,
            {
              gradients: 'plain',
              logStep,
              chain: CHAIN,
            },
          );
          return { objective: tf.sum(logQ) as tf.Scalar, aux: { logQ, acceptance } };
        },
        inputs.parameters as Record<string, tf.Tensor>,
      );
      const { logStep: _, ...ofBound } = inputs.parameters;
      const bound = valueAndGradients((parameters: Record<string, tf.Tensor>) => {
        const { w, latent } = draw(parameters);
        const logQ = upperBound(q(parameters).density, w, latent, inputs.noise.proposed);
        return { objective: tf.sum(logQ) as tf.Scalar, aux: { logQ } };
      }, ofBound);
      return {
        unbiased: { ...unbiased.gradients, ...unbiased.aux },
        bound: { ...bound.gradients, ...bound.aux },
      };
    },
    { parameters, noise } as never,
  );
  return { n, ...(result as unknown as Record<'unbiased' | 'bound', Record<string, NdArray>>) };
}

const of = (arrays: Record<string, NdArray>): Record<(typeof NAMES)[number], Estimate> =>
  Object.fromEntries(NAMES.map((name) => [name, estimate(arrays[name].data)])) as never;

const proof = (name: string, curve: Curve, exact: () => typeof at): Proof => ({
  name,
  async check(subject, engine) {
    const { n, unbiased, bound } = await gradients(subject, engine, curve);
    const expected = exact();
    for (const name of NAMES) {
      const found = of(unbiased)[name];
      expect(found.standardError).toBeLessThan(0.04);
      expectMean(found, expected[name], name);
    }
    // the value, and what s learns, are those of the bound; the step grows where more is accepted than is wanted
    for (const part of ['logQ', 'auxiliary-posterior.c'])
      expect(largestError(unbiased[part].data, bound[part].data), part).toBeLessThan(1e-5);
    const acceptance = unbiased.acceptance.data[0];
    expect(acceptance).toBeGreaterThan(0.65);
    expect(unbiased.logStep.data[0] / n).toBeCloseTo(CHAIN.acceptance - acceptance, 4);
  },
});

export const chains: readonly Proof[] = [
  proof('unbiased gradients, linear q: the closed form', linear, () => closedForm.gradient),
  proof('unbiased gradients, q not linear: quadrature', bent, () => gradientByQuadrature(bent)),
];
