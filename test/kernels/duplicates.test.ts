import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/random.js';
import { type CleanOptions, cleanAlone, cleanLayer } from '../../src/kernels/clean.js';
import { DuplicateFinder } from '../../src/kernels/duplicates.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-duplicates-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const SMALL = 0; // every full chunk goes to the file

describe.each([
  ['in memory', undefined],
  ['on disk', SMALL],
])('%s', (_, budget) => {
  const finderOf = () =>
    budget === undefined ? new DuplicateFinder() : new DuplicateFinder(join(folder, 'hashes'), budget);

  test('agrees with a set of strings, in whatever order layers come', () => {
    const random = new RandomStream(seedKey(1));
    // 4 values from {1, …, 24}: 331776 different slices, of which 300000 are drawn
    const layers = Array.from({ length: 30 }, () =>
      Float32Array.from({ length: 40_000 }, () => 1 + random.integer(24)),
    );
    const seen = new Set<string>();
    const expected = new Set<string>();
    layers.forEach((data, layer) => {
      for (let row = 0; row < data.length / 4; row++) {
        const slice = data.subarray(4 * row, 4 * row + 4).join();
        if (seen.has(slice)) expected.add(`${layer} ${row}`);
        seen.add(slice);
      }
    });
    const finder = finderOf();
    // layer i comes as number 29 − i, with the rank that puts it back
    for (let i = 29; i >= 0; i--) finder.add(29 - i, cleanLayer(layers[i], 2, 2, { minNorm: 0 }).hashes);
    const marked: string[] = [];
    finder.find(
      (layer) => 29 - layer,
      (layer, row) => marked.push(`${29 - layer} ${row}`),
    );
    if (budget !== undefined) expect(statSync(join(folder, 'hashes')).size).toBeGreaterThan(1e6);
    finder.close();
    expect(existsSync(join(folder, 'hashes'))).toBe(false);
    // slices of one value four times are constant, never duplicates: 24 of 331776
    const constant = (name: string) => {
      const [layer, row] = name.split(' ').map(Number);
      return new Set(layers[layer].subarray(4 * row, 4 * row + 4)).size === 1;
    };
    expect(marked.sort()).toEqual([...expected].filter((name) => !constant(name)).sort());
  });
});

test('a layer that does not count takes nothing from others', () => {
  const finder = new DuplicateFinder();
  const data = Float32Array.of(1, 2, 3, 4);
  for (const layer of [0, 1]) finder.add(layer, cleanLayer(data, 2, 2).hashes);
  const marked: number[] = [];
  finder.find(
    (layer) => (layer === 0 ? -1 : 0),
    (layer) => marked.push(layer),
  );
  expect(marked).toEqual([]);
});

test('slices of different sizes are never the same', () => {
  const data = Float32Array.of(1, 2, 3, 4);
  const finder = new DuplicateFinder();
  finder.add(0, cleanLayer(data, 2, 2).hashes);
  finder.add(1, cleanLayer(data, 1, 4).hashes);
  finder.add(2, cleanLayer(data, 4, 1).hashes);
  finder.find(
    (layer) => layer,
    () => expect.fail('marked'),
  );
});

test('slices that differ in one value, in its last bit, are no duplicates', () => {
  const base = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const words = Float32Array.from(Array.from({ length: 9 * 24 + 1 }, () => base).flat());
  const bits = new Uint32Array(words.buffer);
  for (let i = 0; i < 9 * 24; i++) bits[9 * (i + 1) + Math.floor(i / 24)] ^= 1 << (i % 24);
  expect(cleanAlone(words, 3, 3, { minNorm: 0 }).duplicate).toBe(0);
});

describe('what counts as the same', () => {
  const duplicates = (options: CleanOptions, ...rows: number[][]) =>
    cleanAlone(Float32Array.from(rows.flat()), 2, 2, options).duplicate;
  const base = [1, 2, 3, 5];

  test('near: scaled copies, and what is within a small part of the step', () => {
    const near = (other: number[], tolerance = 0.01) =>
      duplicates({ duplicates: 'near', tolerance }, base, other);
    expect(near([2, 4, 6, 10])).toBe(1);
    expect(near([1.0001, 2, 3, 5])).toBe(1);
    expect(near([1.2, 2, 3, 5])).toBe(0); // cosine 0.9996, but one weight of the unit kernel moves by 0.03
    expect(near([-1, -2, -3, -5])).toBe(0);
    expect(near([2, 1, 3, 5])).toBe(0);
  });

  test('symmetric: eight places and two signs of a square', () => {
    const [a, b, c, d] = base;
    const orbit = [
      [a, b, c, d],
      [b, a, d, c],
      [c, d, a, b],
      [d, c, b, a],
      [a, c, b, d],
      [c, a, d, b],
      [b, d, a, c],
      [d, b, c, a],
    ];
    const all = [...orbit, ...orbit.map((row) => row.map((x) => -x))];
    expect(duplicates({ duplicates: 'symmetric' }, ...all)).toBe(15);
    expect(duplicates({ duplicates: 'exact' }, ...all)).toBe(0);
    // others stand opposite of a: no symmetry of the square does that
    expect(duplicates({ duplicates: 'symmetric' }, [a, b, c, d], [a, b, d, c], [a, c, d, b])).toBe(0);
  });

  test('symmetric: a row is mirrored, not turned', () => {
    const data = Float32Array.of(1, 2, 3, 3, 2, 1, -1, -2, -3, 2, 1, 3);
    expect(cleanAlone(data, 1, 3, { duplicates: 'symmetric' }).duplicate).toBe(2);
    const rectangle = Float32Array.of(1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1, 4, 5, 6, 1, 2, 3, 1, 3, 5, 2, 4, 6);
    expect(cleanAlone(rectangle, 2, 3, { duplicates: 'symmetric' }).duplicate).toBe(2);
  });

  test('keep: none', () => {
    expect(duplicates({ duplicates: 'keep' }, base, base)).toBe(0);
  });
});
