// The bound of a whole network, (3), where the evidence is known: Bayesian linear regression written as a convolution.
import { expect } from 'vitest';
import { type BoundSettings, HIERARCHICAL } from '../../../src/bounds/settings.js';
import { f32, type NdArray, noiseFor, seedKey } from '../../../src/engine/index.js';
import { convLayers } from '../../../src/network/index.js';
import { ESTIMATORS, type Estimator } from '../../../src/posteriors/index.js';
import type { Tensors } from '../../../src/priors/index.js';
import { runOn } from '../../engine/reference.js';
import { tinyModel, tinyState } from '../../train/tiny.js';
import { EXACT, klFromPosterior, type Perturbation } from '../linear-gaussian.js';
import { bestMeanField, EXAMPLES, klOfMeanField, type Regression } from '../regression.js';
import {
  type Arrays,
  CHANNELS,
  compile,
  exactRegression,
  type Inputs,
  indices,
  latentRegression,
  meanFieldModel,
  meanFieldOf,
  ofOneDraw,
  pointwiseRegression,
  posteriorModel,
  posteriorOf,
  type Terms,
  totalOf,
} from './networks.js';
import { type Proof, quadraticPoints } from './proof.js';

const PERTURBED: Perturbation = { shift: -0.3, factor: 0.8 };

/** Cuts one vector of noise into arrays of the given shapes. */
function cut(specs: Record<string, { shape: readonly number[] }>, vector: Float32Array): Arrays {
  let at = 0;
  return Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      at += size;
      return [name, f32(shape, vector.slice(at - size, at))];
    }),
  );
}

/** (3) and its gap in one: q is p(W|𝒟), r and s are exact, and all three terms are of one W. */
const samples: Proof = {
  name: 'q = p(W|𝒟), r and s exact: the evidence, sample by sample',
  async check(subject, engine) {
    const problem = latentRegression(EXACT);
    const { evidence } = problem.solve();
    for (const [priorSamples, posteriorSamples] of [
      [1, 0],
      [3, 2],
    ]) {
      const bound: BoundSettings = { ...HIERARCHICAL, priorSamples, posteriorSamples };
      const model = posteriorModel(problem, bound);
      const { specs, run, release } = await compile(subject, engine, model, posteriorOf(problem), EXAMPLES);
      for (let i = 0; i < 5; i++) {
        const noise = noiseFor(specs, seedKey(510 + i));
        const total = totalOf(await run(problem, ofOneDraw(noise)));
        expect(Math.abs(total - evidence) / Math.abs(evidence), `K = ${priorSamples}`).toBeLessThan(1e-5);
      }
      await release();
    }
  },
};

const meanField: Proof = {
  name: 'mean field, all estimators: the evidence minus KL(q ‖ p(W|𝒟)) and, where r is not exact, minus its gap',
  async check(subject, engine) {
    const cases: { problem: Regression; gap?: number; estimator?: Estimator }[] = [
      ...ESTIMATORS.map((estimator) => ({ problem: pointwiseRegression(subject), estimator })),
      { problem: exactRegression(subject) },
      { problem: latentRegression(PERTURBED), gap: CHANNELS * klFromPosterior(PERTURBED) },
    ];
    for (const { problem, gap = 0, estimator } of cases) {
      const solution = problem.solve();
      const best = bestMeanField(solution);
      const other = {
        mean: best.mean.map((m, i) => m + 0.1 * (-1) ** i),
        logStd: best.logStd.map((s) => s + 0.3),
      };
      for (const q of [best, other]) {
        const mean = await expectation(
          problem,
          await compile(
            subject,
            engine,
            meanFieldModel(problem, subject, estimator),
            meanFieldOf(problem, q),
            EXAMPLES,
          ),
        );
        const expected = solution.evidence - klOfMeanField(q, solution) - gap;
        expect(Math.abs(mean - expected) / Math.abs(expected), estimator).toBeLessThan(1e-5);
      }
    }
  },
};

/** Of the bound, whose terms are all quadratic in the noise, but for signs: they may be any. */
async function expectation(
  problem: Regression,
  { specs, run, release }: Awaited<ReturnType<typeof compile>>,
): Promise<number> {
  const [signs, rest] = [true, false].map((wanted) =>
    Object.fromEntries(Object.entries(specs).filter(([name]) => name.endsWith('Signs') === wanted)),
  );
  const size = Object.values(rest).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const fixed = noiseFor(signs, seedKey(525));
  const points = quadraticPoints(size);
  let mean = 0;
  for (const point of points)
    mean += totalOf(await run(problem, { ...cut(rest, point), ...fixed })) / points.length;
  await release();
  return mean;
}

const subsampling: Proof = {
  name: 'single examples and single kernels: their mean is the whole',
  async check(subject, engine) {
    const problem = latentRegression(PERTURBED);
    const bound: BoundSettings = { ...HIERARCHICAL, priorSamples: 2, posteriorSamples: 1 };
    for (const { model, parameters } of [
      { model: posteriorModel(problem, bound), parameters: posteriorOf(problem) },
      { model: { ...meanFieldModel(problem, subject), bound }, parameters: meanFieldOf(problem) },
    ]) {
      const few = await compile(subject, engine, { ...model, kernelSubsample: 1 }, parameters, 1, 1);
      const all = await compile(subject, engine, model, parameters, EXAMPLES);
      const noise = noiseFor(few.specs, seedKey(520));
      // the same noise for every kernel: a kernel has the same terms, alone and among all
      const repeated = Object.fromEntries(
        Object.entries(all.specs).map(([name, { shape }]) => {
          if (!name.startsWith('conv.prior.')) return [name, noise[name]];
          const last = shape.at(-1)!;
          return [
            name,
            f32(
              shape,
              Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
                const sample = Math.floor(i / (last * CHANNELS));
                return noise[name].data[sample * last + (i % last)];
              }),
            ),
          ];
        }),
      );
      const whole = await all.run(problem, repeated);
      const sums: Terms = { expectedLogLikelihood: 0, priorTerm: 0, entropyTerm: 0 };
      const names = Object.keys(sums) as (keyof Terms)[];
      for (let i = 0; i < EXAMPLES; i++) {
        const terms = await few.run(problem, noise, [i], [i % CHANNELS]);
        for (const name of names) sums[name] += terms[name] / EXAMPLES;
      }
      await Promise.all([few.release(), all.release()]);
      for (const name of names)
        expect(Math.abs(sums[name] - whole[name]) / Math.abs(whole[name]), name).toBeLessThan(1e-5);
    }
  },
};

const layers: Proof = {
  name: 'two layers: the prior terms (13) and entropies (11) of both',
  async check({ boundTerms, boundNoise }, engine) {
    const model = tinyModel({ prior: 'normal', kernelSubsample: Number.POSITIVE_INFINITY });
    const { parameters } = tinyState(model);
    const out = await runOn(
      engine,
      ({ parameters, ...batch }: Omit<Inputs, 'rows'> & { parameters: Tensors }) => ({
        ...boundTerms(model, parameters, {}, { ...batch, rows: {} }),
      }),
      {
        parameters,
        noise: noiseFor(boundNoise(model, 3), seedKey(526)),
        images: f32([3, 20, 20, 1]),
        labels: indices([0, 1, 2]),
      } as never,
    );
    const { priorTerm, entropyTerm } = out as unknown as Record<keyof Terms, NdArray>;
    const expected = { prior: 0, entropy: 0 };
    for (const { name } of convLayers(model.architecture))
      parameters[`${name}.mean`].data.forEach((mean, i) => {
        const logStd = parameters[`${name}.logStd`].data[i];
        const log2Pi = Math.log(2 * Math.PI);
        expected.prior -= (mean ** 2 + Math.exp(2 * logStd)) / (2 * 0.5 ** 2) + Math.log(0.5) + 0.5 * log2Pi;
        expected.entropy += logStd + 0.5 * (log2Pi + 1);
      });
    expect(Math.abs(priorTerm.data[0] / expected.prior - 1)).toBeLessThan(1e-5);
    expect(Math.abs(entropyTerm.data[0] / expected.entropy - 1)).toBeLessThan(1e-5);
  },
};

export const evidence: readonly Proof[] = [samples, meanField, subsampling, layers];
