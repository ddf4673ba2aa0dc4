// Subsampling leaves the bound's mean where it is (docs/math.md, section 7, proof 6): over kernels (n/S) and over
// examples (N/B), exactly over all subsets and within the noise over the draws that training makes.
import { beforeAll, describe, expect, test } from 'vitest';
import { boundNoise, boundTerms, type Model } from '../../src/bounds/elbo.js';
import { gatherImages, gatherLabels } from '../../src/data/index.js';
import {
  createEngine,
  type Engine,
  f32,
  type NdArray,
  noiseFor,
  seedKey,
  type tf,
} from '../../src/engine/index.js';
import type { Arrays, Tensors } from '../../src/priors/index.js';
import {
  priorConstants,
  type TracePoint,
  type TrainingState,
  trainNetwork,
} from '../../src/train/train-network.js';
import { runOn } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';
import { allRows, tinyImages, tinyModel, tinyOptions, tinyState } from '../train/tiny.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

interface Terms {
  expectedLogLikelihood: number;
  priorTerm: number;
  entropyTerm: number;
}

/** The terms with the given examples, kernels and noise; `rows` per layer, all kernels where left out. */
async function termsOf(
  model: Model,
  examples: ArrayLike<number>,
  rows: Record<string, NdArray>,
  noise: Arrays,
): Promise<Terms> {
  const n = examples.length;
  const images = f32([n, 20, 20, 1]);
  gatherImages(tinyImages, examples, images.data);
  const labels = { shape: [n], data: gatherLabels(tinyImages, examples, new Int32Array(n)) };
  type Inputs = {
    parameters: Tensors;
    images: tf.Tensor4D;
    labels: tf.Tensor1D;
    noise: Tensors;
    rows: Tensors;
    prior: Tensors;
  };
  const out = (await runOn(
    engine,
    ({ parameters, prior, ...batch }: Inputs) => ({
      ...boundTerms(model, parameters, prior, batch),
    }),
    {
      parameters: tinyState(model).parameters,
      images,
      labels,
      noise,
      rows,
      prior: priorConstants(model),
    } as never,
  )) as unknown as Record<string, NdArray>;
  return {
    expectedLogLikelihood: out.expectedLogLikelihood.data[0],
    priorTerm: out.priorTerm.data[0],
    entropyTerm: out.entropyTerm.data[0],
  };
}

const indices = (...data: number[]): NdArray => ({ shape: [data.length], data: Int32Array.from(data) });
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const pairs = (n: number) =>
  Array.from({ length: n }, (_, i) => Array.from({ length: i }, (_, j) => [j, i])).flat();
const relative = (a: number, b: number) => Math.abs(a - b) / Math.abs(b);

describe('exactly, over all subsets', () => {
  test('pairs of the 6 kernels of a layer: the mean of the prior terms is the whole sum', async () => {
    const model = tinyModel({ prior: 'normal' });
    const noise = noiseFor(boundNoise(model, 3), seedKey(90));
    const whole = await termsOf(model, [0, 1, 2], {}, noise);
    const parts: Terms[] = [];
    for (const pair of pairs(6))
      parts.push(await termsOf(model, [0, 1, 2], { conv2: indices(...pair) }, noise));
    expect(parts).toHaveLength(15);
    expect(relative(mean(parts.map(({ priorTerm }) => priorTerm)), whole.priorTerm)).toBeLessThan(1e-5);
    // The pairs differ, and the entropy is that of all kernels in each of them.
    expect(relative(parts[0].priorTerm, whole.priorTerm)).toBeGreaterThan(1e-4);
    for (const { entropyTerm } of parts) expect(entropyTerm).toBe(whole.entropyTerm);
  });

  test('single kernels of both layers: factors 2/1 and 6/1', async () => {
    const model = tinyModel({ prior: 'normal' });
    const noise = noiseFor(boundNoise(model, 3), seedKey(90));
    const whole = await termsOf(model, [0, 1, 2], {}, noise);
    const parts: number[] = [];
    for (let first = 0; first < 2; first++)
      for (let second = 0; second < 6; second++)
        parts.push(
          (await termsOf(model, [0, 1, 2], { conv1: indices(first), conv2: indices(second) }, noise))
            .priorTerm,
        );
    expect(relative(mean(parts), whole.priorTerm)).toBeLessThan(1e-5);
  });

  test('pairs of 6 examples under one draw of the weights: the mean is the sum over all six', async () => {
    const model = tinyModel({ prior: 'normal', examples: 6 });
    const noise = noiseFor(boundNoise(model, 2), seedKey(91)); // of the weights: the same for any batch
    const whole = await termsOf(model, [0, 1, 2, 3, 4, 5], {}, noise);
    const parts: number[] = [];
    for (const pair of pairs(6)) parts.push((await termsOf(model, pair, {}, noise)).expectedLogLikelihood);
    expect(relative(mean(parts), whole.expectedLogLikelihood)).toBeLessThan(1e-5);
    expect(relative(parts[0], whole.expectedLogLikelihood)).toBeGreaterThan(1e-3);
  });

  test('the sum is over the N examples of the model, not over the batch', async () => {
    const noise = noiseFor(boundNoise(tinyModel({ prior: 'normal' }), 3), seedKey(92));
    const [few, many] = await Promise.all(
      [3, 300].map((examples) => termsOf(tinyModel({ prior: 'normal', examples }), [0, 1, 2], {}, noise)),
    );
    expect(relative(many.expectedLogLikelihood, 100 * few.expectedLogLikelihood)).toBeLessThan(1e-5);
    expect(many.priorTerm).toBe(few.priorTerm);
  });
});

/** Kernel i of a layer is i + 1 times as large: always the same ones would not give the sum of all. */
function unequalKernels(state: TrainingState): TrainingState {
  const parameters = Object.fromEntries(
    Object.entries(state.parameters).map(([name, { shape, data }]): [string, NdArray] => {
      if (!/^conv.*mean$/.test(name)) return [name, { shape, data }];
      const d = shape[2] * shape[3];
      return [
        name,
        f32(
          shape,
          (data as Float32Array).map((x, i) => x * (1 + Math.floor(i / d))),
        ),
      ];
    }),
  );
  return { ...state, parameters };
}

describe('within five standard errors, over the steps of a training that does not move', () => {
  /** The trace of steps at the start's parameters: a learning rate too small to change a float. */
  async function trace(model: Model, steps: number, batch: number): Promise<TracePoint[]> {
    const points: TracePoint[] = [];
    const options = { ...tinyOptions, steps, batch, learningRate: 1e-30 };
    const start = unequalKernels(tinyState(model));
    const end = await trainNetwork(
      { model, images: tinyImages, rows: allRows, options, engine, key: seedKey(93), state: start },
      {
        trace: (point) => points.push(point),
      },
    );
    expect(end.parameters['conv2.mean'].data).toEqual(start.parameters['conv2.mean'].data);
    return points;
  }

  test.each(['weight-samples', 'local-reparameterisation'] as const)(
    'batches of 6 of 18, 2 of 6 kernels: %s',
    async (estimator) => {
      const steps = 1800;
      const sampled = await trace(tinyModel({ estimator }), steps, 6);
      const whole = await trace(tinyModel({ estimator, kernelSubsample: 6 }), 900, 18);
      for (const term of ['expectedLogLikelihood', 'priorTerm', 'entropyTerm'] as const) {
        // Batches of one epoch are not independent of each other; epochs (3 steps) are.
        const epochs = Array.from({ length: steps / 3 }, (_, e) =>
          mean([0, 1, 2].map((i) => sampled[3 * e + i][term])),
        );
        const a = estimate(epochs);
        const b = estimate(whole.map((point) => point[term]));
        if (term === 'entropyTerm') expect(a.mean).toBeCloseTo(b.mean, 6);
        else
          expectMean(
            { mean: a.mean - b.mean, standardError: Math.hypot(a.standardError, b.standardError) },
            0,
            `${term}: difference from ${b.mean}`,
          );
        // The noise is small against the term: a wrong factor would be seen.
        expect(5 * a.standardError).toBeLessThan(0.15 * Math.abs(b.mean));
      }
    },
  );
});
