// The bound that is reported, where the evidence is known (docs/math.md, section 7): within its standard errors it is
// the bound of the trained posterior, and not above the evidence.
import { beforeAll, describe, expect, test } from 'vitest';
import { HIERARCHICAL } from '../../src/bounds/settings.js';
import { createEngine, type Engine, f32, seedKey } from '../../src/engine/index.js';
import { convLayers, weightShape } from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { isotropicNormal } from '../../src/priors/index.js';
import { finalBound } from '../../src/train/final-bound.js';
import { initialState, trainNetwork } from '../../src/train/train-network.js';
import { EXACT, klFromPosterior } from '../bounds/linear-gaussian.js';
import { latentRegression, meanFieldModel, pointwiseRegression } from '../bounds/proofs/networks.js';
import { bestMeanField, EXAMPLES, klOfMeanField, type Regression } from '../bounds/regression.js';
import { estimate, expectMean } from '../monte-carlo.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const rows = Int32Array.from({ length: EXAMPLES }, (_, i) => i);

/** A mean field after 800 steps, in which it comes to its best. */
async function trained(problem: Regression) {
  const model = meanFieldModel(problem, { posteriors });
  const [layer] = convLayers(model.architecture);
  const start = initialState({
    architecture: model.architecture,
    posterior: model.posterior,
    weights: { [layer.name]: f32(weightShape(layer)) },
    logStd: -2,
    key: seedKey(540),
  });
  const options = {
    steps: 800,
    batch: EXAMPLES,
    learningRate: 0.03,
    temperature: 1,
    warmUp: 0,
    weightDecay: 0,
    denseDecay: 0,
    logEvery: 800,
  };
  const { parameters } = await trainNetwork({
    model,
    images: problem.data,
    rows,
    options,
    engine,
    key: seedKey(541),
    state: start,
  });
  return { model, parameters };
}

const PERTURBED = { shift: -0.3, factor: 0.8 };

describe.each([
  { name: '1×1 kernels, a normal prior', problem: pointwiseRegression({ isotropicNormal }), gap: 0 },
  { name: '2×3 kernels, a latent prior with its exact r', problem: latentRegression(EXACT), gap: 0 },
  {
    name: '2×3 kernels, a latent prior with another r',
    problem: latentRegression(PERTURBED),
    gap: 2 * klFromPosterior(PERTURBED),
  },
])('$name', ({ problem, gap }) => {
  test('is the evidence minus the known gaps', async () => {
    const { model, parameters } = await trained(problem);
    const solution = problem.solve(parameters['conv.bias'].data[0]);
    const q = { mean: parameters['conv.mean'].data, logStd: parameters['conv.logStd'].data };
    const least = klOfMeanField(bestMeanField(solution), solution);
    expect(klOfMeanField(q, solution) - least).toBeGreaterThan(-1e-5);
    expect(klOfMeanField(q, solution) - least).toBeLessThan(0.1); // nats that training has left
    const report = await finalBound({
      model,
      images: problem.data,
      rows,
      components: [parameters],
      engine,
      key: seedKey(542),
    });
    const { total, standardError, innerGap } = report;
    expectMean({ mean: total, standardError }, solution.evidence - klOfMeanField(q, solution) - gap, 'bound');
    expect(total).toBeLessThan(solution.evidence + 5 * standardError);
    if (gap === 0) expect(innerGap).toBeCloseTo(0, 4);
  });
});

test('(120) the mixture of a posterior with itself is that posterior, and so is its bound', async () => {
  const problem = pointwiseRegression({ isotropicNormal });
  const { model, parameters } = await trained(problem);
  const boundOf = async (components: number, seed: number) => {
    const all = new Array<typeof parameters>(components).fill(parameters);
    const report = await finalBound({
      model,
      images: problem.data,
      rows,
      components: all,
      engine,
      key: seedKey(seed),
    });
    const { total, expectedLogLikelihood, priorTerm, entropyTerm } = report;
    expect(total).toBeCloseTo(expectedLogLikelihood + priorTerm + entropyTerm, 3);
    return report;
  };
  const M = 24;
  const singles = [await boundOf(1, 600), await boundOf(1, 601), await boundOf(1, 602)];
  const mixture = await boundOf(M, 603);
  const standardError = Math.hypot(
    mixture.standardError,
    ...singles.map((single) => single.standardError / singles.length),
  );
  expect(5 * standardError).toBeLessThan(Math.log(M)); // a term log M would be seen
  const one = estimate(singles.map(({ total }) => total)).mean;
  expectMean({ mean: mixture.total - one, standardError }, 0, 'difference');
});

describe('the inner gap', () => {
  const gap = 2 * klFromPosterior(PERTURBED); // of (1), for both kernels

  test.each([
    { bound: {}, least: 0.8 * gap, most: gap },
    { bound: { encoder: 'trainable' as const }, least: 0.8 * gap, most: gap },
    { bound: { priorSamples: 2 }, least: 0.1 * gap, most: 0.7 * gap },
    { bound: { priorSamples: 100 }, least: 0, most: 0.1 * gap },
    { bound: { proposal: 'prior' as const }, least: gap, most: Number.POSITIVE_INFINITY },
  ])('of $bound', async ({ bound, least, most }) => {
    const problem = latentRegression(PERTURBED);
    const model = { ...meanFieldModel(problem, { posteriors }), bound: { ...HIERARCHICAL, ...bound } };
    const shape = weightShape(convLayers(model.architecture)[0]);
    const parameters = { 'conv.mean': f32(shape), 'conv.logStd': f32(shape), 'conv.bias': f32([1]) };
    const gaps: number[] = [];
    for (let seed = 0; seed < 12; seed++) {
      const key = seedKey(560 + seed);
      gaps.push(
        (await finalBound({ model, images: problem.data, rows, components: [parameters], engine, key }))
          .innerGap,
      );
    }
    const { mean, standardError } = estimate(gaps);
    expect(mean).toBeGreaterThan(least - 5 * standardError);
    expect(mean).toBeLessThan(most + 5 * standardError);
    if (most < gap) expect(standardError).toBeLessThan(0.2 * gap);
  });
});
