// Every posterior with every bound and estimator, and every family of priors, in convolutions and dense layers: engines
// agree on the gradients, all parameters learn, and stopping changes nothing. DWP_ALL=1 takes every combination.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BOUNDS, boundSettings } from '../../src/bounds/settings.js';
import { type Engine, seedKey } from '../../src/engine/index.js';
import { readCheckpoint, writeCheckpoint } from '../../src/methods/checkpoint.js';
import { ESTIMATORS, posteriors } from '../../src/posteriors/index.js';
import { families } from '../../src/priors/index.js';
import { type TracePoint, type TrainingState, trainNetwork } from '../../src/train/train-network.js';
import { engines, largestRelativeError } from '../engine/reference.js';
import { quickChains } from '../train/tiny.js';
import { allRows, images, options, type SmallOptions, smallModel, smallState } from './small.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});
const folder = mkdtempSync(join(tmpdir(), 'dwp-coverage-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const random = Object.keys(posteriors).filter((name) => posteriors[name].kernels);

const train = (
  model: ReturnType<typeof smallModel>,
  engine: Engine,
  steps: number,
  state: TrainingState = smallState(model),
  trace?: (point: TracePoint) => void,
  stepped?: (state: TrainingState) => void,
) =>
  trainNetwork(
    { model, images, rows: allRows, options: { ...options, steps }, engine, key: seedKey(404), state },
    {
      trace,
      stepped,
    },
  );

async function expectAgreement(given: SmallOptions): Promise<void> {
  const model = smallModel(given);
  const points: TracePoint[] = [];
  const [a, b] = await Promise.all(
    [native, cpu].map((engine) => train(model, engine, 1, undefined, (point) => points.push(point))),
  );
  const { error, path } = largestRelativeError(a.moments.first, b.moments.first); // a tenth of the gradients
  expect(error, path).toBeLessThan(2e-5); // single precision, sums over all normals of a VAE's bank
  for (const term of ['expectedLogLikelihood', 'priorTerm', 'entropyTerm'] as const) {
    const [x, y] = points.map((point) => point[term]);
    expect(Math.abs(x - y), term).toBeLessThan(1e-5 * Math.max(1, Math.abs(y)));
  }
}

/** Others see priors, and those that have a bound for themselves estimators, through the same lines as these. */
const TWO = ['mean-field', 'semi-implicit-filter'];
const ALL = process.env.DWP_ALL === '1';

describe.each(random)('%s: native and cpu agree', (posterior) => {
  const two = ALL || TWO.includes(posterior);
  // chains over ζ take a minute to compile here, and have tests of their own
  const chains = ALL && posteriors[posterior].latent;
  for (const name of BOUNDS.filter((name) => name !== 'uivi' || chains))
    test.each(two && (ALL || name === 'multisample') ? [...families.keys()] : ['vae'])(
      `--bound ${name}, prior %s`,
      (family) =>
        expectAgreement({ posterior, family, bound: quickChains(boundSettings(name, 3, 'frozen')) }),
    );

  test.each(ESTIMATORS.filter((name) => ALL || (two && name !== 'weight-samples')))(
    'estimator %s',
    (estimator) => expectAgreement({ posterior, family: 'normal', estimator }),
  );
});

describe.each(random)('%s', (posterior) => {
  test('everything learns, and a run that is stopped and read again ends in the same bits', async () => {
    const model = smallModel({
      posterior,
      family: 'vae',
      bound: boundSettings('multisample', 2, 'trainable'),
    });
    const start = smallState(model);
    const whole = await train(model, native, 4, start, undefined, (state) => {
      if (state.step === 2) writeCheckpoint(folder, { component: 0, ...state });
    });
    const { component: _, ...half } = readCheckpoint(folder, model);
    const resumed = await train(model, native, 4, half);
    expect(resumed).toEqual(whole);
    for (const [name, { data }] of Object.entries(whole.parameters)) {
      expect(data.every(Number.isFinite), name).toBe(true);
      expect(data, name).not.toEqual(start.parameters[name].data);
    }
  });
});
