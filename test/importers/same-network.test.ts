// One network as the library of every format writes it (scripts/write-same-network.py): the same kernels, bit by bit.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { loadModel } from './loaded.js';

const FOLDER = fileURLToPath(new URL('../fixtures/same-network', import.meta.url));

const files = readdirSync(FOLDER)
  .sort()
  .map((name) => (statSync(join(FOLDER, name)).isDirectory() ? join(name, 'model.json') : name));

/** Multiples of 1/128 in [−1, 1): exact in every float type. */
const weights = (count: number, start: number) =>
  Array.from({ length: count }, (_, i) => ((((i + start) * 37 + 11) % 255) - 127) / 128);

/** [out, in of a group, h, w], in the order of the network. */
const EXPECTED = [
  { kind: 'conv', shape: [4, 3, 3, 2], weights: weights(72, 0) },
  { kind: 'depthwise', shape: [4, 1, 3, 3], weights: weights(36, 1000) },
  { kind: 'transposed', shape: [5, 4, 2, 3], weights: weights(120, 2000) },
];

test('every format is there', () => {
  expect(files).toHaveLength(13);
});

describe.each(files)('%s', (file) => {
  test('holds the same kernels', async () => {
    const { layers, skipped } = await loadModel(join(FOLDER, file));
    expect(skipped).toEqual([]);
    const found = layers.map(({ kind, shape, data }) => ({ kind, shape, weights: [...data] }));
    // files without a graph list their weights by name or as they were written
    const order = ['conv', 'depthwise', 'transposed'];
    found.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
    expect(found).toEqual(EXPECTED);
  });
});
