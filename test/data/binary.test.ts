// Grey images made binary: how often, and by what.
import { expect, test } from 'vitest';
import { binaryImages } from '../../src/data/index.js';
import { seedKey } from '../../src/engine/index.js';
import { estimate, expectMean } from '../monte-carlo.js';

const COUNT = 5000;
const LEVELS = [0, 1, 90, 254, 255];
const set = (count: number) => ({
  images: Uint8Array.from({ length: count * LEVELS.length }, (_, p) => LEVELS[p % LEVELS.length]),
  labels: new Uint8Array(count),
  count,
  height: 1,
  width: LEVELS.length,
  channels: 1,
  classes: 1,
});

test('a pixel is 1 as often as its brightness says; black and white stay', () => {
  const pixels = binaryImages(set(COUNT), seedKey(1));
  expect([...new Set(pixels)].sort()).toEqual([0, 1]);
  LEVELS.forEach((level, j) => {
    const column = Float64Array.from({ length: COUNT }, (_, i) => pixels[i * LEVELS.length + j]);
    if (level === 0 || level === 255) expect(new Set(column)).toEqual(new Set([level / 255]));
    else expectMean(estimate(column), level / 255, `brightness ${level}`);
  });
});

test('the first images are the same however many there are, and others with another key', () => {
  const some = binaryImages(set(50), seedKey(1));
  expect(some).toEqual(binaryImages(set(COUNT), seedKey(1)).subarray(0, some.length));
  expect(some).not.toEqual(binaryImages(set(50), seedKey(2)));
});
