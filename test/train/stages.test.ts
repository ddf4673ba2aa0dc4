// What changes while a network is trained: a K that grows in stages, and learning rates of its parts.
import { beforeAll, describe, expect, test } from 'vitest';
import { settingsAt } from '../../src/bounds/schedule.js';
import { boundSettings } from '../../src/bounds/settings.js';
import { createEngine, type Engine, layoutOf, type NdArray, seedKey } from '../../src/engine/index.js';
import { auxiliaryParameters } from '../../src/train/auxiliary.js';
import { rateFactors } from '../../src/train/rates.js';
import { type NetworkOptions, type TrainingState, trainNetwork } from '../../src/train/train-network.js';
import { allRows, tinyImages, tinyModel, tinyOptions, tinyState } from './tiny.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const model = tinyModel({ posterior: 'semi-implicit', bound: boundSettings('multisample', 5, 'trainable') });
const start = tinyState(model, -2, auxiliaryParameters(model));
const trained = (options: Partial<NetworkOptions>, from = start, stepped?: (state: TrainingState) => void) =>
  trainNetwork(
    {
      model,
      images: tinyImages,
      rows: allRows,
      options: { ...tinyOptions, ...options },
      engine,
      key: seedKey(110),
      state: from,
    },
    {
      ...(stepped && { stepped }),
    },
  );

const copied = (state: TrainingState): TrainingState => {
  const copy = (arrays: Readonly<Record<string, NdArray>>) =>
    Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name, { ...a, data: a.data.slice() }]));
  const { first, second } = state.moments;
  return {
    step: state.step,
    parameters: copy(state.parameters),
    moments: { first: copy(first), second: copy(second) },
    averages: copy(state.averages),
  };
};

describe('K grows in stages', () => {
  const stages = (from: number | undefined, to: number, steps: number) =>
    Array.from({ length: steps }, (_, i) =>
      settingsAt(boundSettings('multisample', to, 'frozen'), from, i + 1, steps),
    );

  test('doubling, in stages of equal length; the last has the K that was asked for', () => {
    const settings = stages(1, 10, 10);
    expect(settings.map(({ priorSamples }) => priorSamples)).toEqual([1, 1, 2, 2, 4, 4, 8, 8, 10, 10]);
    expect(settings.map(({ posteriorSamples }) => posteriorSamples)).toEqual(
      settings.map(({ priorSamples }) => priorSamples),
    );
    expect(settings.map(({ gradients }) => gradients === 'plain')).toEqual(settings.map((_, i) => i < 2));
    expect(stages(3, 12, 6).map(({ priorSamples }) => priorSamples)).toEqual([3, 3, 6, 6, 12, 12]);
    for (const from of [undefined, 10])
      expect(stages(from, 10, 4).map(({ priorSamples }) => priorSamples)).toEqual([10, 10, 10, 10]);
    expect(stages(1, 1000, 3).map(({ priorSamples }) => priorSamples)).toEqual([1, 8, 128]); // fewer steps than stages
  });

  test('resumed after any step, a training ends in the same bits', async () => {
    const options = { steps: 8, boundSamplesFrom: 1 }; // 1, 2, 4, 5: two steps each
    const states: TrainingState[] = [];
    const end = await trained(options, start, (state) => states.push(copied(state)));
    for (const from of [1, 2, 3, 4, 6]) {
      const resumed = await trained(options, states[from - 1]);
      expect(resumed.parameters, `from step ${from}`).toEqual(end.parameters);
      expect(resumed.moments, `from step ${from}`).toEqual(end.moments);
    }
    // it is not what training with K = 5 throughout gives
    expect((await trained({ steps: 8 })).parameters).not.toEqual(end.parameters);
  });
});

describe('learning rates of parts', () => {
  const partOf = (name: string) =>
    name.includes('.auxiliary.') ? 'encoder' : name.includes('auxiliary-posterior') ? 'auxiliary' : 'rest';

  /** Largest movement of each part in one step: Adam's first step moves by the rate, whatever the gradient. */
  async function movement(options: Partial<NetworkOptions>) {
    const { parameters } = await trained({ steps: 1, ...options });
    const moved: Record<string, number> = {};
    for (const [name, { data }] of Object.entries(parameters))
      data.forEach((x, i) => {
        const part = partOf(name);
        moved[part] = Math.max(moved[part] ?? 0, Math.abs(x - start.parameters[name].data[i]));
      });
    return moved;
  }

  test('each part moves by its own', async () => {
    const rates = { learningRate: 0.01, encoderLearningRate: 0.03, auxiliaryLearningRate: 0.002 };
    const moved = await movement(rates);
    expect(moved.rest).toBeCloseTo(0.01, 5);
    expect(moved.encoder).toBeCloseTo(0.03, 5);
    expect(moved.auxiliary).toBeCloseTo(0.002, 5);
    const same = await movement({ learningRate: 0.01 });
    for (const part of ['rest', 'encoder', 'auxiliary']) expect(same[part]).toBeCloseTo(0.01, 5);
  });

  test('0 holds a part where it is', async () => {
    const moved = await movement({ encoderLearningRate: 0, auxiliaryLearningRate: 0 });
    expect(moved).toMatchObject({ encoder: 0, auxiliary: 0 });
    expect(moved.rest).toBeGreaterThan(0);
  });

  test('weights whose outputs are sums of 4,096 terms move by a quarter', () => {
    const plain = layoutOf(tinyState(tinyModel()).parameters);
    const factors = rateFactors(plain, { learningRate: 0.1 }, { conv2: 4096 })!;
    let at = 0;
    for (const { name, shape } of plain) {
      const size = shape.reduce((a, b) => a * b, 1);
      const expected = name === 'conv2.mean' ? 0.25 : 1;
      expect([name, ...new Set(factors.subarray(at, at + size))]).toEqual([name, expected]);
      at += size;
    }
    expect(at).toBe(factors.length);
  });

  test('no vector of factors where all rates are one; a rate of what is not there is refused', () => {
    const layout = layoutOf(start.parameters);
    expect(rateFactors(layout, { learningRate: 0.1 })).toBeUndefined();
    expect(rateFactors(layout, { learningRate: 0.1, encoderLearningRate: 0.1 })).toBeUndefined();
    expect(rateFactors(layout, { learningRate: 0.1 }, { conv1: 1024 })).toBeUndefined(); // and no layer is wide
    const plain = layoutOf(tinyState(tinyModel()).parameters);
    for (const [rate, message] of [
      ['encoderLearningRate', /no encoder is trained/],
      ['auxiliaryLearningRate', /no auxiliary network/],
    ] as const)
      expect(() => rateFactors(plain, { learningRate: 0.1, [rate]: 0.2 })).toThrow(message);
  });
});
