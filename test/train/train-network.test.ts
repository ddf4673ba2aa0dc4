// A training step as a whole: engines agree, gradients are those of the objective, and stopping changes nothing.
import { beforeAll, describe, expect, test } from 'vitest';
import type { Model } from '../../src/bounds/elbo.js';
import { type Engine, f32, foldIn, type NdArray, seedKey } from '../../src/engine/index.js';
import {
  buildArchitecture,
  convLayers,
  denseLayers,
  namedArchitecture,
  weightShape,
  xavier,
} from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import type { Arrays } from '../../src/priors/index.js';
import {
  initialState,
  type NetworkOptions,
  type TracePoint,
  type TrainHooks,
  type TrainingState,
  trainNetwork,
} from '../../src/train/train-network.js';
import { engines, largestRelativeError } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';
import { allRows, CLASSES, tinyImages, tinyModel, tinyOptions, tinyState } from './tiny.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const run = (
  model: Model,
  {
    engine = native,
    state = tinyState(model),
    seed = 100,
    hooks,
    ...options
  }: Partial<NetworkOptions> & {
    engine?: Engine;
    state?: TrainingState;
    seed?: number;
    hooks?: TrainHooks;
  } = {},
) =>
  trainNetwork(
    {
      model,
      images: tinyImages,
      rows: allRows,
      options: { ...tinyOptions, ...options },
      engine,
      key: seedKey(seed),
      state,
    },
    hooks,
  );

describe('three steps on the native engine and on plain JavaScript give the same parameters', () => {
  test.each([
    ['weight samples, kernel VAE', tinyModel({ estimator: 'weight-samples' }), {}],
    ['local reparameterisation, kernel VAE', tinyModel({ estimator: 'local-reparameterisation' }), {}],
    [
      'all kernels, normal prior, warm-up',
      tinyModel({ prior: 'normal', kernelSubsample: 6 }),
      { warmUp: 10 },
    ],
    ['deterministic, weight decay', tinyModel({ prior: 'none' }), { weightDecay: 0.5 }],
  ])('%s', async (_, model, options) => {
    const trace: Record<string, TracePoint[]> = { native: [], cpu: [] };
    const [a, b] = await Promise.all(
      [native, cpu].map((engine) =>
        run(model, { ...options, engine, hooks: { trace: (p) => trace[engine.name].push(p) } }),
      ),
    );
    expect(a.step).toBe(3);
    const { error, path } = largestRelativeError(a.parameters, b.parameters);
    expect(error, path).toBeLessThan(1e-5);
    expect(trace.native).toHaveLength(3);
    trace.native.forEach((point, i) => {
      for (const [name, value] of Object.entries(trace.cpu[i]))
        expect(Math.abs(point[name as keyof TracePoint]! - value), name).toBeLessThan(
          1e-5 * Math.max(1, Math.abs(value)),
        );
    });
    // Every parameter has moved.
    const start = tinyState(model).parameters;
    for (const [name, { data }] of Object.entries(a.parameters))
      expect(data, name).not.toEqual(start[name].data);
  });
});

describe("the first step's gradient is that of the objective", () => {
  const DECAY = 20; // so strong that a wrong factor would be seen
  const TEMPERATURE = 0.7;

  /** The objective by the trace of one step, decay added by hand, nats per example; and its gradient. */
  async function objective(model: Model, parameters: Arrays): Promise<{ value: number; gradient: Arrays }> {
    let point: TracePoint | undefined;
    const start = tinyState(model);
    const { moments } = await run(model, {
      state: { ...start, parameters },
      steps: 1,
      temperature: TEMPERATURE,
      denseDecay: DECAY,
      weightDecay: DECAY,
      hooks: {
        trace: (p) => {
          point = p;
        },
      },
    });
    const { expectedLogLikelihood, priorTerm, entropyTerm } = point!;
    const decayed = ['dense.kernel', ...(model.posterior.kernels ? [] : ['conv1.mean', 'conv2.mean'])];
    const squares = decayed.reduce((sum, name) => sum + Math.hypot(...parameters[name].data) ** 2, 0);
    const value =
      (0.5 * DECAY * squares - expectedLogLikelihood - TEMPERATURE * (priorTerm + entropyTerm)) /
      model.examples;
    const gradient = Object.fromEntries(
      Object.entries(moments.first).map(([name, { shape, data }]): [string, NdArray] => [
        name,
        { shape, data: (data as Float32Array).map((m) => m / (1 - 0.9)) }, // Adam's first moment after one step
      ]),
    );
    return { value, gradient };
  }

  test('of the classifier alone the weights decay: dense layers before it have other inputs', async () => {
    const architecture = buildArchitecture(
      'two dense layers',
      { height: 20, width: 20, channels: 1 },
      CLASSES,
      [
        { kind: 'conv', channels: 2, kernel: 7, stride: 4 },
        { kind: 'flatten' },
        { kind: 'dense', units: 4 },
        { kind: 'dense', units: CLASSES },
      ],
    );
    const model = { ...tinyModel({ prior: 'none' }), architecture };
    const momentsAfter = async (denseDecay: number) => {
      const { moments } = await run(model, { state: tinyState(model), steps: 1, denseDecay });
      return moments.first;
    };
    const [without, decayed] = [await momentsAfter(0), await momentsAfter(DECAY)];
    const [hidden, classifier] = denseLayers(architecture).map(({ name }) => `${name}.kernel`);
    expect(decayed[hidden].data).toEqual(without[hidden].data);
    expect(decayed[classifier].data).not.toEqual(without[classifier].data);
  });

  test.each([
    ['weight samples', tinyModel({ estimator: 'weight-samples' })],
    ['local reparameterisation', tinyModel({ estimator: 'local-reparameterisation' })],
    ['deterministic', tinyModel({ prior: 'none' })],
  ])('%s', async (_, model) => {
    const { parameters } = tinyState(model);
    const { gradient } = await objective(model, parameters);
    const differences: string[] = [];
    for (const [name, { shape, data: g }] of Object.entries(gradient)) {
      const norm = Math.hypot(...g);
      expect(norm, name).toBeGreaterThan(1e-4);
      // Along the gradient, and along its two largest coordinates.
      const largest = [...g.keys()].sort((i, j) => Math.abs(g[j]) - Math.abs(g[i])).slice(0, 2);
      const directions = [
        Array.from(g, (x) => x / norm),
        ...largest.map((at) => Array.from(g, (_, i) => (i === at ? 1 : 0))),
      ];
      for (const [k, direction] of directions.entries()) {
        const h = 5e-4; // small, for the kinks of ReLU and max-pool
        const at = (t: number) =>
          objective(model, {
            ...parameters,
            [name]: f32(
              shape,
              Float32Array.from(parameters[name].data, (x, i) => x + t * direction[i]),
            ),
          });
        const slope = ((await at(h)).value - (await at(-h)).value) / (2 * h);
        const expected = direction.reduce((sum, x, i) => sum + x * g[i], 0);
        if (!(Math.abs(slope - expected) < 0.02 * Math.abs(expected) + 2e-3))
          differences.push(`${name}, direction ${k}: slope ${slope}, gradient ${expected}`);
      }
    }
    expect(differences).toEqual([]);
  });
});

describe('stopping and going on', () => {
  test('from any step the same bits come out', async () => {
    const model = tinyModel();
    const through = await run(model, { steps: 7 });
    for (const stop of [1, 4, 6]) {
      const abort = new AbortController();
      let last: TrainingState | undefined;
      await expect(
        run(model, {
          steps: 7,
          hooks: {
            signal: abort.signal,
            stepped(state) {
              last = state;
              if (state.step === stop) abort.abort();
            },
          },
        }),
      ).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(last!.step).toBe(stop);
      const resumed = await run(model, { steps: 7, state: last });
      expect(resumed).toEqual(through);
    }
  });

  test("a step's trace comes before what saves that step", async () => {
    const calls: string[] = [];
    await run(tinyModel({ prior: 'normal' }), {
      steps: 4,
      logEvery: 2,
      hooks: {
        trace: ({ step }) => calls.push(`trace ${step}`),
        stepped: ({ step }) => calls.push(`stepped ${step}`),
      },
    });
    expect(calls).toEqual(['stepped 1', 'trace 2', 'stepped 2', 'stepped 3', 'trace 4', 'stepped 4']);
  });

  test('another key gives other parameters', async () => {
    const model = tinyModel();
    const [a, b] = [await run(model), await run(model, { seed: 101 })];
    expect(a.parameters['conv1.mean'].data).not.toEqual(b.parameters['conv1.mean'].data);
  });

  test('training finds the classes', async () => {
    const model = tinyModel({ prior: 'none' });
    const points: TracePoint[] = [];
    await run(model, { steps: 150, batch: 18, hooks: { trace: (p) => points.push(p) } });
    expect(points.at(-1)!.expectedLogLikelihood).toBeGreaterThan(0.3 * points[0].expectedLogLikelihood);
  });

  test('numbers that run away are an error that says so', async () => {
    const model = tinyModel({ prior: 'none' });
    await expect(run(model, { steps: 50, learningRate: 1e30 })).rejects.toMatchObject({
      code: 'DIVERGED',
      exitCode: 4,
      hint: expect.stringContaining('--learning-rate'),
    });
  });
});

describe('start', () => {
  const architecture = namedArchitecture('lenet', { height: 28, width: 28, channels: 1 }, 10, [32, 64]);

  test("Glorot's initialisation has mean 0 and variance 2 / (fan in + fan out)", () => {
    for (const layer of convLayers(architecture)) {
      const { shape, data } = xavier(layer, seedKey(110));
      const [out, inputs, h, w] = shape;
      expect(shape).toEqual(weightShape(layer));
      expectMean(estimate(data), 0, layer.name);
      expectMean(estimate(Array.from(data, (x) => x * x)), 2 / ((inputs + out) * h * w), layer.name);
    }
  });

  test('posterior at the given weights, biases 0, dense layers at a tenth of Glorot, moments 0', () => {
    const weights = Object.fromEntries(
      convLayers(architecture).map((layer) => [layer.name, xavier(layer, seedKey(111))]),
    );
    const { step, parameters, moments } = initialState({
      architecture,
      posterior: posteriors['mean-field'],
      weights,
      logStd: -3,
      key: seedKey(112),
    });
    expect(step).toBe(0);
    expect(Object.keys(parameters).sort()).toEqual([
      ...['conv1.bias', 'conv1.logStd', 'conv1.mean', 'conv2.bias', 'conv2.logStd', 'conv2.mean'],
      ...['dense.bias', 'dense.kernel'],
    ]);
    for (const name of ['conv1', 'conv2']) {
      expect(parameters[`${name}.mean`]).toEqual(weights[name]);
      expect(parameters[`${name}.mean`].data).not.toBe(weights[name].data); // a copy
      expect(new Set(parameters[`${name}.logStd`].data)).toEqual(new Set([-3]));
    }
    for (const name of ['conv1.bias', 'conv2.bias', 'dense.bias'])
      expect(parameters[name].data.every((x) => x === 0)).toBe(true);
    const [out, inputs] = weightShape(denseLayers(architecture)[0]);
    const { data } = parameters['dense.kernel'];
    expectMean(estimate(data), 0);
    expectMean(estimate(Array.from(data, (x) => x * x)), (0.1 ** 2 * 2) / (inputs + out));
    const start = (scale?: number) =>
      initialState({
        architecture,
        posterior: posteriors['mean-field'],
        weights,
        logStd: -3,
        key: seedKey(112),
        denseStart: scale,
      }).parameters;
    expect(start(0.1)).toEqual(parameters);
    const { 'dense.kernel': glorot, ...others } = start(1);
    expect({ ...others, 'dense.kernel': parameters['dense.kernel'] }).toEqual(parameters);
    expect(data.every((x, i) => Math.abs(10 * x - glorot.data[i]) < 1e-6)).toBe(true);
    for (const moment of [moments.first, moments.second]) {
      expect(Object.keys(moment)).toEqual(Object.keys(parameters));
      for (const [name, { shape, data }] of Object.entries(moment)) {
        expect(shape).toEqual(parameters[name].shape);
        expect(data.every((x) => x === 0)).toBe(true);
      }
    }
  });

  test('layers start differently from each other, and by the key', () => {
    const [first] = convLayers(architecture);
    const of = (seed: number, name = first.name) =>
      xavier({ ...first, name }, foldIn(seedKey(seed), 'x')).data;
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
    expect(of(1)).not.toEqual(of(1, 'other'));
  });
});
