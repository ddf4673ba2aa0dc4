// The classifier's logit against the exact log ratio of two normals.
import { expect, test } from 'vitest';
import {
  createEngine,
  f32,
  foldIn,
  noiseFor,
  seedKey,
  spec,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { classifierLoss, densityRatio, logRatio } from '../../src/estimators/density-ratio.js';
import type { Arrays, Tensors } from '../../src/priors/index.js';
import { adam } from '../../src/train/adam.js';
import type { Moments } from '../../src/train/optimiser.js';

const MEAN = 0.6;
const STD = 0.7;
const D = 2;

/** log N(u | MEAN, STD²) − log N(u | 0, 1), both coordinates. */
const exact = (u: ArrayLike<number>) =>
  Array.from(
    { length: D },
    (_, j) => -0.5 * ((u[j] - MEAN) / STD) ** 2 - Math.log(STD) + 0.5 * u[j] ** 2,
  ).reduce((a, b) => a + b);

test('after training, T = log q − log reference', async () => {
  const n = 512;
  const steps = 500;
  const engine = await createEngine('native', 1);
  const key = seedKey(3);
  const specs = { u: spec([n, D]), reference: spec([n, D]) };
  let auxiliary: Arrays = densityRatio.auxiliary!(D, key);
  const zeros = (): Arrays =>
    Object.fromEntries(Object.entries(auxiliary).map(([name, { shape }]) => [name, f32(shape)]));
  let moments: Moments<Arrays> = { first: zeros(), second: zeros() };
  const compiled = await engine.compile(
    (given: { auxiliary: Tensors; first: Tensors; second: Tensors; noise: Tensors; rate: tf.Tensor }) => {
      const { gradients } = valueAndGradients(
        (auxiliary) => ({
          objective: classifierLoss(
            auxiliary,
            tf.add(tf.mul(given.noise.u, STD), MEAN),
            given.noise.reference,
          ),
          aux: {},
        }),
        given.auxiliary,
      );
      const { first, second } = given;
      const next = adam().update(gradients, { first, second }, given.auxiliary, given.rate);
      return { auxiliary: next.parameters, ...next.moments };
    },
    { inputs: { auxiliary, ...moments, noise: specs, rate: f32([]) } as never },
  );
  for (let t = 1; t <= steps; t++) {
    const rate = f32([], Float32Array.of(adam().rate(1e-2 * (1 - (t - 1) / steps), t)));
    const noise = noiseFor(specs, foldIn(key, t));
    const next = (await compiled.run({ auxiliary, ...moments, noise, rate } as never)) as unknown as {
      auxiliary: Arrays;
      first: Arrays;
      second: Arrays;
    };
    auxiliary = next.auxiliary;
    moments = { first: next.first, second: next.second };
  }
  // where the estimator asks for it: at draws of q
  const { u } = noiseFor(specs, foldIn(key, 'test'));
  for (let i = 0; i < u.data.length; i++) u.data[i] = MEAN + STD * u.data[i];
  const judged = await engine.compile(
    ({ auxiliary, u }: { auxiliary: Tensors; u: tf.Tensor }) => ({
      t: logRatio(auxiliary, u),
    }),
    { inputs: { auxiliary, u } as never },
  );
  const { t } = (await judged.run({ auxiliary, u } as never)) as unknown as {
    t: { data: Float32Array };
  };
  let [wrong, whole] = [0, 0];
  for (const [i, value] of t.data.entries()) {
    const truth = exact(u.data.subarray(i * D, (i + 1) * D));
    wrong += (value - truth) ** 2 / n;
    whole += truth ** 2 / n;
  }
  // 0.12 nats were measured, root mean square, where the ratio itself is 0.91
  expect(Math.sqrt(wrong)).toBeLessThan(0.2);
  expect(Math.sqrt(whole)).toBeGreaterThan(0.8);
});
