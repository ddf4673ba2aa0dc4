// Predictions of random draws: the same whatever number of draws shares a run, in probabilities of each draw's own.
import { expect, test } from 'vitest';
import { createEngine, foldIn, noiseFor, seedKey } from '../../src/engine/index.js';
import { predictions, weightNoise } from '../../src/evaluate/predict.js';
import { tinyImages, tinyModel, tinyState } from '../train/tiny.js';

const model = tinyModel({ prior: 'normal' });
const { parameters } = tinyState(model);
const key = seedKey(5);

async function draws(samples: number): Promise<Float32Array[]> {
  const engine = await createEngine('native', 1);
  const all: Float32Array[] = [];
  for await (const draw of predictions({
    network: model,
    parameters,
    images: tinyImages,
    samples,
    engine,
    key,
  }))
    all.push(draw.slice());
  return all;
}

test('draw m is the same alone, by fives and by twos', async () => {
  const seven = await draws(7); // one draw in a run
  const five = await draws(5);
  const four = await draws(4);
  expect([seven.length, five.length, four.length]).toEqual([7, 5, 4]);
  for (const [m, draw] of five.entries()) expect(draw).toEqual(seven[m]);
  for (const [m, draw] of four.entries()) expect(draw).toEqual(seven[m]);
  expect(five[0]).not.toEqual(five[1]);
});

test('each row is a distribution over classes', async () => {
  const { classes } = model.architecture;
  for (const draw of await draws(2)) {
    expect(draw).toHaveLength(tinyImages.count * classes);
    for (let i = 0; i < tinyImages.count; i++) {
      const row = draw.subarray(i * classes, (i + 1) * classes);
      expect(Math.abs(row.reduce((a, b) => a + b) - 1)).toBeLessThan(1e-6);
    }
  }
});

test('noise of different draws differs', () => {
  const specs = weightNoise(model);
  expect(noiseFor(specs, foldIn(key, 0))).not.toEqual(noiseFor(specs, foldIn(key, 1)));
});
