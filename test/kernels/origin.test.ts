// Kernels of a dataset by the role of their layers.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeNpy } from '../../src/formats/npy.js';
import type { ConvLayer } from '../../src/importers/index.js';
import { collectKernels, readKernelDataset } from '../../src/kernels/index.js';
import { filesOf, opener } from './in-memory.js';

/** A layer whose kernels all hold `value` somewhere, so that rows tell where they come from. */
const layer = (name: string, out: number, inputs: number, value: number, salt: number): ConvLayer => ({
  name,
  kind: 'conv',
  shape: [out, inputs, 3, 3],
  dtype: 'float32',
  read: () =>
    Float32Array.from({ length: out * inputs * 9 }, (_, i) =>
      i % 9 === 4 ? value : Math.sin(100 * salt + value + 7.3 * i),
    ),
});
const MODELS = [
  [layer('a', 10, 3, 1, 1), layer('b', 4, 10, 2, 2), layer('c', 5, 4, 3, 3)],
  [layer('a', 12, 1, 1, 4), layer('b', 3, 12, 2, 5), layer('c', 2, 3, 3, 6)],
];
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-origin-'));
  for (const normalize of ['none', 'layer'] as const)
    await collectKernels(
      filesOf(MODELS),
      join(folder, normalize),
      { depthwise: 'include', transposed: 'exclude', normalize, testFraction: 0.25, seed: 0 },
      {},
      { open: opener(MODELS) },
    );
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each(['none', 'layer'])(
  'the kernels of each role, and of what layers they are (normalize %s)',
  (name) => {
    const path = join(folder, name);
    const counts = { first: 42, middle: 76, last: 26 };
    for (const [i, role] of (['first', 'middle', 'last'] as const).entries()) {
      const { train, test: held, origin } = readKernelDataset(path, '3x3', { roles: [role] });
      expect(train.count + (held?.count ?? 0)).toBe(counts[role]);
      for (const { data, count } of [train, held!])
        for (let k = 0; k < count; k++) expect(data[9 * k + 4]).toBeCloseTo(i + 1, 5);
      expect(origin).toEqual({
        roles: [role],
        inputs: [
          [1, 3],
          [10, 12],
          [3, 4],
        ][i],
      });
    }
    const { origin } = readKernelDataset(path, '3x3');
    expect(origin).toEqual({ roles: ['first', 'last', 'middle'], inputs: [1, 3, 4, 10, 12] });
  },
);

test('a role that is not there, and a dataset without roles', () => {
  const path = join(folder, 'none');
  expect(() => readKernelDataset(path, '3x3', { roles: ['depthwise'] })).toThrow(
    /no 3x3 kernels of depthwise layers/,
  );
  const file = join(path, 'dataset.json');
  const description = JSON.parse(readFileSync(file, 'utf8'));
  for (const each of description.layers) delete each.role;
  writeFileSync(file, JSON.stringify(description));
  expect(() => readKernelDataset(path, '3x3', { roles: ['first'] })).toThrow(
    /no 3x3 kernels of first layers/,
  );
  expect(readKernelDataset(path, '3x3').origin).toEqual({ inputs: [1, 3, 4, 10, 12] });
});

test('of an array, the role is what the caller says', () => {
  const file = join(folder, 'array.npy');
  writeNpy(file, { shape: [2, 3, 3], data: new Float32Array(18).fill(1) });
  expect(readKernelDataset(file, undefined, { roles: ['first'] })).toMatchObject({
    train: { count: 2 },
    origin: { roles: ['first'], inputs: [] },
  });
  expect(readKernelDataset(file)).not.toHaveProperty('origin');
});
