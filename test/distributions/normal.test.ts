// References from SciPy: scripts/reference-densities.py.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  klToStandard,
  logDensity,
  logStandardDensity,
  negativeEntropy,
  reparameterise,
} from '../../src/distributions/normal.js';
import { createEngine, type Engine, f32, type NdArray, tf } from '../../src/engine/index.js';
import { normal, runOn } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';

const x = f32([2, 3], Float32Array.of(0.3, -1.2, 2.5, 0, 0.4, -0.7));
const mean = f32([3], Float32Array.of(0.1, -0.5, 1));
const logStd = f32([3], Float32Array.of(0.5, 2, 0.25).map(Math.log));

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

type Inputs = { x: tf.Tensor; mean: tf.Tensor; logStd: tf.Tensor };
const evaluate = async (f: (inputs: Inputs) => tf.Tensor): Promise<NdArray> =>
  (await runOn(engine, (inputs: Inputs) => ({ value: f(inputs) }), { x, mean, logStd } as never))
    .value as NdArray;

test.each<[string, (inputs: Inputs) => tf.Tensor, number[]]>([
  [
    'log N(x | mean, diag std²)',
    ({ x, ...q }) => logDensity(x, q),
    [-19.511771238494127, -24.611771238494125],
  ],
  ['log N(x | 0, I)', ({ x }) => logStandardDensity(x), [-6.646815599614017, -3.0818155996140177]],
  ['negative entropy', (q) => negativeEntropy(q), [-2.8705212384941277]],
  ['KL to N(0, I)', (q) => klToStandard(q), [2.6725443611198907]],
])('%s', async (_, f, expected) => {
  const { data, shape } = await evaluate(f);
  expect(shape).toEqual(expected.length === 1 ? [] : [2]);
  expected.forEach((value, i) => {
    expect(data[i]).toBeCloseTo(value, 5);
  });
});

test('two standard normals: by hand', async () => {
  // log N(0 | 0, 1) = −½ log 2π, entropy ½ log 2πe, KL to itself 0
  const { value, entropy, kl } = await runOn(
    engine,
    (q: { mean: tf.Tensor; logStd: tf.Tensor }) => ({
      value: logDensity(tf.zerosLike(q.mean), q),
      entropy: negativeEntropy(q),
      kl: klToStandard(q),
    }),
    { mean: f32([1, 1]), logStd: f32([1, 1]) },
  );
  expect(value.data[0]).toBeCloseTo(-0.9189385, 6);
  expect(entropy.data[0]).toBeCloseTo(-1.4189385, 6);
  expect(kl.data[0]).toBe(0);
});

describe('samples agree with the closed forms', () => {
  const n = 50_000;
  test('E log q and E log q/p over samples of q', async () => {
    const { own, standard } = await runOn(
      engine,
      ({ noise, ...q }: { noise: tf.Tensor; mean: tf.Tensor; logStd: tf.Tensor }) => {
        const sample = reparameterise(q, noise);
        return { own: logDensity(sample, q), standard: logStandardDensity(sample) };
      },
      { noise: normal(50, n, 3), mean, logStd } as never,
    );
    const log = (own as NdArray).data as Float32Array;
    expectMean(estimate(log), -2.8705212384941277, 'E log q');
    expectMean(
      estimate(log.map((v, i) => v - (standard as NdArray).data[i])),
      2.6725443611198907,
      'E log q/p',
    );
  });
});
