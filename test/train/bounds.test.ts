// Training with every bound, encoder and posterior: engines agree, and the gradients that are said to be quieter are.
import { beforeAll, describe, expect, test } from 'vitest';
import { GRADIENTS, lowerBound, upperBound } from '../../src/bounds/hierarchical.js';
import { BOUNDS, boundSettings, ENCODERS } from '../../src/bounds/settings.js';
import type { DiagonalNormal } from '../../src/distributions/normal.js';
import { type Engine, f32, seedKey, tf, valueAndGradients } from '../../src/engine/index.js';
import { auxiliaryParameters } from '../../src/train/auxiliary.js';
import { type TrainHooks, type TrainingState, trainNetwork } from '../../src/train/train-network.js';
import { sine } from '../bounds/sine.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { estimate } from '../monte-carlo.js';
import { allRows, quickChains, tinyImages, tinyModel, tinyOptions, tinyState } from './tiny.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const cases = (['mean-field', 'semi-implicit'] as const).flatMap((posterior) =>
  BOUNDS.filter((bound) => bound !== 'uivi' || posterior !== 'mean-field').flatMap((bound) =>
    (bound === 'sivi' ? (['frozen'] as const) : bound === 'uivi' ? (['trainable'] as const) : ENCODERS).map(
      (encoder) => ({ posterior, bound, encoder }),
    ),
  ),
);

test.each(cases)('$posterior, $bound, encoder $encoder: the same on native and cpu', async (options) => {
  const model = tinyModel({
    ...options,
    bound: quickChains(boundSettings(options.bound, 3, options.encoder)),
  });
  const auxiliary = auxiliaryParameters(model);
  const none = options.bound === 'sivi' || (options.encoder === 'frozen' && options.bound !== 'uivi');
  expect(Object.keys(auxiliary).length === 0).toBe(none);
  const state = tinyState(model, -2, auxiliary);
  const [a, b] = await Promise.all(
    [native, cpu].map((engine) =>
      trainNetwork({
        model,
        images: tinyImages,
        rows: allRows,
        options: { ...tinyOptions, steps: 1 },
        engine,
        key: seedKey(100),
        state,
      }),
    ),
  );
  // the gradients: Adam makes a full step of the smallest of them, and of its rounding
  const { error, path } = largestRelativeError(a.moments.first, b.moments.first);
  expect(error, path).toBeLessThan(1e-5);
  // In two steps everything learns, but for ζ's auxiliary network where ζ is proposed by its prior.
  const { parameters } = await trainNetwork({
    ...{ model, images: tinyImages, rows: allRows, state },
    ...{ options: { ...tinyOptions, steps: 2 }, engine: native, key: seedKey(100) },
  });
  const idle = Object.entries(parameters)
    .filter(([name, { data }]) => data.every((x, i) => x === state.parameters[name].data[i]))
    .map(([name]) => name);
  if (options.posterior === 'semi-implicit' && options.bound === 'sivi')
    expect(idle.every((name) => name.includes('auxiliary-posterior'))).toBe(true);
  else expect(idle).toEqual([]);
});

test('uivi: stopped after a step it goes on in the same bits, and its step size moves', async () => {
  const model = tinyModel({
    posterior: 'semi-implicit',
    bound: quickChains(boundSettings('uivi', 2, 'frozen')),
  });
  const start = tinyState(model, -2, auxiliaryParameters(model));
  const to = (steps: number, state: TrainingState, hooks: TrainHooks = {}) =>
    trainNetwork(
      {
        model,
        images: tinyImages,
        rows: allRows,
        options: { ...tinyOptions, steps },
        engine: native,
        key: seedKey(100),
        state,
      },
      hooks,
    );
  let stopped: TrainingState | undefined;
  const acceptance: number[] = [];
  const whole = await to(3, start, {
    trace: (point) => acceptance.push(point.acceptance!),
    stepped(state) {
      if (state.step === 2) stopped = structuredClone(state);
    },
  });
  const name = 'conv2.chain.logStep';
  expect(whole.parameters[name].data).not.toEqual(start.parameters[name].data);
  for (const x of acceptance) expect(x > 0 && x <= 1).toBe(true);
  expect((await to(3, stopped!)).parameters).toEqual(whole.parameters);
});

describe('doubly reparameterised gradients of the proposal', () => {
  // the proposal's mean and log standard deviation are what is learned
  const N = 8000;
  const K = 20;

  test.each(['lower', 'upper'] as const)('%s bound: the same mean, less variance', async (side) => {
    const w = f32([N, 1], new Float32Array(N).fill(0.7));
    const z0 = f32([N, 1], new Float32Array(N).fill(0.5));
    const noise = normal(5, K, N, 1);
    const gradients: Record<string, Float32Array[]> = {};
    for (const kind of GRADIENTS) {
      const result = await runOn(
        native,
        (inputs: Record<'w' | 'z0' | 'noise' | 'mean' | 'logStd', tf.Tensor>) =>
          valueAndGradients(
            (r: { mean: tf.Tensor; logStd: tf.Tensor }) => ({
              objective: tf.sum(
                side === 'lower'
                  ? lowerBound(sine, inputs.w, inputs.noise, { r: r as DiagonalNormal, gradients: kind })
                  : upperBound(sine, inputs.w, inputs.z0, inputs.noise, {
                      s: r as DiagonalNormal,
                      gradients: kind,
                    }),
              ) as tf.Scalar,
              aux: {},
            }),
            { mean: inputs.mean, logStd: inputs.logStd },
          ).gradients,
        { w, z0, noise, mean: f32([N, 1], new Float32Array(N).fill(0.3)), logStd: f32([N, 1]) },
      );
      gradients[kind] = [result.mean.data as Float32Array, result.logStd.data as Float32Array];
    }
    for (const i of [0, 1]) {
      const [plain, doubly] = GRADIENTS.map((kind) => estimate(gradients[kind][i]));
      const apart = Math.abs(plain.mean - doubly.mean);
      expect(apart).toBeLessThan(5 * Math.hypot(plain.standardError, doubly.standardError));
      expect(doubly.standardError, `parameter ${i}`).toBeLessThan(0.9 * plain.standardError);
    }
  });
});
