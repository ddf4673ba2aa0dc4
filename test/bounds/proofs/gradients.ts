// Gradients: what training follows leads to the bound's maximum, and those of less noise have the same mean.
import { expect } from 'vitest';
import { GRADIENTS } from '../../../src/bounds/hierarchical.js';
import type { DiagonalNormal } from '../../../src/distributions/normal.js';
import { f32, foldIn, noiseFor, seedKey, tf, valueAndGradients } from '../../../src/engine/index.js';
import { convLayers, weightShape } from '../../../src/network/index.js';
import { initialState } from '../../../src/train/train-network.js';
import { normal, runOn } from '../../engine/reference.js';
import { difference, estimate, expectMean } from '../../monte-carlo.js';
import { EXACT } from '../linear-gaussian.js';
import { bestMeanField, EXAMPLES, klOfMeanField } from '../regression.js';
import { sine } from '../sine.js';
import {
  compile,
  latentRegression,
  meanFieldModel,
  ofOneDraw,
  pointwiseRegression,
  totalOf,
} from './networks.js';
import type { Proof } from './proof.js';

const reparameterised: Proof = {
  name: 'doubly reparameterised gradients of r, s and w: the mean of the plain ones',
  async check({ lowerBound, upperBound }, engine) {
    const n = 4000;
    const w = f32([n, 1], new Float32Array(n).fill(0.7));
    const z0 = f32([n, 1], new Float32Array(n).fill(0.5));
    const r = { mean: f32([n, 1], new Float32Array(n).fill(0.3)), logStd: f32([n, 1]) };
    for (const [side, k] of [
      ['lower', 5],
      ['upper', 1],
      ['upper', 5],
    ] as const) {
      const [plain, doubly] = await Promise.all(
        GRADIENTS.map((kind) =>
          runOn(
            engine,
            ({ z0, noise, ...params }: Record<'w' | 'z0' | 'noise' | 'mean' | 'logStd', tf.Tensor>) =>
              valueAndGradients(({ w, ...given }: DiagonalNormal & { w: tf.Tensor }) => {
                // once with a proposal of its own, once with that which the encoder makes of w
                const bounds = [given, sine.encode(w)].map((proposal) =>
                  side === 'lower'
                    ? lowerBound(sine, w, noise, { r: proposal, gradients: kind })
                    : upperBound(sine, w, z0, noise, { s: proposal, gradients: kind }),
                );
                return { objective: tf.sum(tf.addN(bounds)) as tf.Scalar, aux: {} };
              }, params).gradients,
            { w, z0, noise: normal(5 + k, k, n, 1), ...r },
          ),
        ),
      );
      for (const part of ['mean', 'logStd', 'w'] as const)
        expectMean(
          estimate(difference(plain[part].data, doubly[part].data)),
          0,
          `${side}, K = ${k}, ${part}`,
        );
    }
  },
};

const training: Proof = {
  name: 'training a mean field, at T = 1 and ¼: the best there is, to 0.05 nats, and none better',
  async check(subject, engine) {
    const problem = pointwiseRegression(subject);
    const model = meanFieldModel(problem, subject);
    const [layer] = convLayers(model.architecture);
    const rows = Int32Array.from({ length: EXAMPLES }, (_, i) => i);
    for (const temperature of [1, 0.25]) {
      const { parameters } = await subject.trainNetwork({
        model,
        images: problem.data,
        rows,
        options: { ...OPTIONS, temperature },
        engine,
        key: seedKey(531),
        state: initialState({
          architecture: model.architecture,
          posterior: model.posterior,
          weights: { [layer.name]: f32(weightShape(layer)) },
          logStd: -2,
          key: seedKey(530),
        }),
      });
      const solution = problem.solve(parameters['conv.bias'].data[0], temperature);
      const q = { mean: parameters['conv.mean'].data, logStd: parameters['conv.logStd'].data };
      const left = klOfMeanField(q, solution) - klOfMeanField(bestMeanField(solution), solution);
      expect(left, `T = ${temperature}`).toBeGreaterThanOrEqual(-1e-5);
      expect(left, `T = ${temperature}`).toBeLessThan(0.05);
    }
  },
};

const mixture: Proof = {
  name: 'training a semi-implicit posterior, q and s: above the best mean field, not above the evidence',
  async check(subject, engine) {
    const problem = latentRegression(EXACT);
    const model = { ...meanFieldModel(problem, subject), posterior: subject.posteriors['semi-implicit'] };
    const [layer] = convLayers(model.architecture);
    const { parameters } = await subject.trainNetwork({
      model,
      images: problem.data,
      rows: Int32Array.from({ length: EXAMPLES }, (_, i) => i),
      options: { ...OPTIONS, steps: 1000, learningRate: 0.02, temperature: 1 },
      engine,
      key: seedKey(533),
      state: initialState({
        architecture: model.architecture,
        posterior: model.posterior,
        weights: { [layer.name]: f32(weightShape(layer)) },
        logStd: -1,
        key: seedKey(532),
      }),
    });
    const solution = problem.solve(parameters['conv.bias'].data[0]);
    const { specs, run, release } = await compile(subject, engine, model, parameters, EXAMPLES);
    const totals: number[] = [];
    for (let i = 0; i < 500; i++)
      totals.push(totalOf(await run(problem, ofOneDraw(noiseFor(specs, foldIn(seedKey(534), i))))));
    await release();
    const { mean, standardError } = estimate(totals);
    const meanField = solution.evidence - klOfMeanField(bestMeanField(solution), solution);
    expect(mean).toBeGreaterThan(meanField + 5 * standardError);
    expect(mean).toBeLessThan(solution.evidence + 5 * standardError);
  },
};

const OPTIONS = {
  steps: 600,
  batch: EXAMPLES,
  learningRate: 0.03,
  warmUp: 0,
  weightDecay: 0,
  denseDecay: 0,
  logEvery: 600,
};

export const gradients: readonly Proof[] = [reparameterised, training, mixture];
