import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { parseIdx } from '../../src/data/idx.js';
import { datasets, labelWarnings, loadDataset } from '../../src/data/index.js';
import { DwpError } from '../../src/errors.js';

const root = mkdtempSync(join(tmpdir(), 'dwp-data-'));
afterAll(() => rmSync(root, { recursive: true }));

const word = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const idx = (shape: readonly number[], data: ArrayLike<number>, type = 8) =>
  Uint8Array.from([0, 0, type, shape.length, ...shape.flatMap(word), ...Array.from(data)]);

const refusal = (action: () => unknown): DwpError => {
  try {
    action();
  } catch (error) {
    if (error instanceof DwpError) return error;
    throw error;
  }
  throw new Error('was accepted');
};

describe('parseIdx', () => {
  it('reads one to four dimensions, plain and gzipped', () => {
    for (const shape of [[6], [2, 3], [1, 2, 3], [1, 2, 1, 3]])
      for (const bytes of [idx(shape, [1, 2, 3, 4, 5, 255]), gzipSync(idx(shape, [1, 2, 3, 4, 5, 255]))])
        expect(parseIdx(bytes, 'f')).toEqual({ shape, data: Uint8Array.of(1, 2, 3, 4, 5, 255) });
  });

  it('reads lengths above one byte, big-endian', () => {
    expect(parseIdx(gzipSync(idx([300, 2], new Uint8Array(600))), 'f').shape).toEqual([300, 2]);
  });

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'not an IDX file'],
    ['text', new TextEncoder().encode('hello'), 'not an IDX file'],
    ['floats', idx([1], [0, 0, 0, 0], 0x0d), 'type 0x0d'],
    ['no dimensions', idx([], [1]), '0 dimensions'],
    ['five dimensions', idx([1, 1, 1, 1, 1], [1]), '5 dimensions'],
    ['a cut header', idx([2, 3], []).subarray(0, 10), 'truncated header'],
    [
      'a missing byte',
      idx([2, 3], [1, 2, 3, 4, 5]),
      'header says [2,3] (18 bytes in all), the file holds 17',
    ],
    ['a byte too many', idx([2], [1, 2, 3]), 'the file holds 11'],
    ['a gzipped file with a missing byte', gzipSync(idx([3], [1, 2])), 'the file holds 10'],
    ['a gzipped file with a byte too many', gzipSync(idx([3], [1, 2, 3, 4])), 'the file holds more'],
    ['dimensions beyond memory', idx([2 ** 31, 2 ** 31, 2 ** 31], []), 'the file holds 16'],
    ['the same, gzipped', gzipSync(idx([2 ** 31, 2 ** 31], [])), 'gzipped bytes can hold'],
    [
      'zeros that unzip to far more than the header says',
      gzipSync(idx([4], new Uint8Array(1e6))),
      'holds more',
    ],
    ['a damaged zip', gzipSync(idx([9], [1, 2, 3, 4, 5, 6, 7, 8, 9])).fill(255, 12, 20), 'unzipped'],
    [
      'a cut zip',
      gzipSync(
        idx(
          [2000],
          Uint8Array.from({ length: 2000 }, (_, i) => (i * i) >> 3),
        ),
      ).subarray(0, 900),
      'unzipped',
    ],
  ])('refuses %s', (_, bytes, why) => {
    const error = refusal(() => parseIdx(bytes, 'file.idx'));
    expect(error.exitCode).toBe(3);
    expect(error.message).toMatch(/^file\.idx: /);
    expect(error.message).toContain(why);
  });

  it('answers any bytes with an array or an input error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, start) => {
        if (start) bytes.set([0, 0, 8].slice(0, bytes.length));
        try {
          parseIdx(bytes, 'f');
        } catch (error) {
          expect(error).toBeInstanceOf(DwpError);
        }
      }),
    );
  });
});

describe('folders of IDX files', () => {
  let made = 0;
  const NAMES = {
    trainImages: 'train-images-idx3-ubyte',
    trainLabels: 'train-labels-idx1-ubyte',
    testImages: 't10k-images-idx3-ubyte',
    testLabels: 't10k-labels-idx1-ubyte',
  };
  const good = {
    trainImages: idx([3, 1, 2], [1, 2, 3, 4, 5, 6]),
    trainLabels: idx([3], [0, 2, 1]),
    testImages: idx([2, 1, 2], [7, 8, 9, 10]),
    testLabels: idx([2], [2, 2]),
  };
  /** A folder with these files; null leaves one out. */
  const folder = (changes: Partial<Record<keyof typeof good, Uint8Array | null>> = {}, zip = false) => {
    const path = join(root, `d${made++}`);
    mkdirSync(path);
    for (const [name, bytes] of Object.entries({ ...good, ...changes }))
      if (bytes)
        writeFileSync(
          join(path, NAMES[name as keyof typeof good] + (zip ? '.gz' : '')),
          zip ? gzipSync(bytes) : bytes,
        );
    return path;
  };

  it('are read under any name, with as many classes as the training labels show', () => {
    for (const zip of [false, true]) {
      const { name, train, test } = loadDataset('mine', folder({}, zip));
      expect(name).toBe('mine');
      expect(train).toEqual({
        images: Uint8Array.of(1, 2, 3, 4, 5, 6),
        labels: Uint8Array.of(0, 2, 1),
        count: 3,
        height: 1,
        width: 2,
        channels: 1,
        classes: 3,
      });
      expect(test).toMatchObject({ count: 2, labels: Uint8Array.of(2, 2), classes: 3 });
    }
  });

  it.each<[string, (name: string) => string]>([
    ['with a dot', (name) => name.replace('-idx', '.idx')],
    ['as torchvision lays them', (name) => join('MNIST', 'raw', name)],
    ['with the prefix of a split', (name) => `emnist-digits-${name.replace('t10k', 'test')}`],
    ['in a folder of a zip', (name) => join('gzip', name)],
  ])('%s', (_, rename) => {
    for (const zip of ['', '.gz']) {
      const path = join(root, `d${made++}`);
      for (const [role, bytes] of Object.entries(good)) {
        const file = join(path, rename(NAMES[role as keyof typeof good]) + zip);
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, zip ? gzipSync(bytes) : bytes);
      }
      expect(loadDataset('mine', path).train.images).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6));
    }
  });

  it('of several datasets are told apart by the prefix that is the name', () => {
    const path = folder();
    for (const [role, bytes] of Object.entries(good))
      writeFileSync(join(path, `emnist-letters-${NAMES[role as keyof typeof good]}`), bytes);
    expect(loadDataset('emnist-letters', path).train.count).toBe(3);
    expect(refusal(() => loadDataset('mine', path)).message).toMatch(/several datasets: .*emnist-letters/);
  });

  it('a folder that is called like a file is not taken for it', () => {
    const path = folder({ trainImages: null });
    mkdirSync(join(path, NAMES.trainImages));
    expect(refusal(() => loadDataset('mine', path)).message).toContain('no train-images-idx3-ubyte');
  });

  it('are not unzipped where their headers do not fit each other, or the zip is a bomb', () => {
    const many = gzipSync(Buffer.concat([idx([4_000_000, 5, 5], []), Buffer.alloc(100_000_000)]));
    const path = folder({ trainImages: many });
    expect(refusal(() => loadDataset('mine', path)).message).toMatch(/3 labels for the 4000000 images/);
    expect(refusal(() => parseIdx(many, 'bomb')).message).toMatch(/unzip to 100000016, more than 200 times/);
  });

  it('keep the classes of a known name', () => {
    expect(loadDataset('mnist', folder()).train.classes).toBe(10);
    expect(refusal(() => loadDataset('mnist', folder({ testLabels: idx([2], [0, 10]) }))).message).toContain(
      'label 10 of image 1 is not below 10',
    );
  });

  it('may hold colours in a fourth dimension', () => {
    const colour = {
      trainImages: idx([3, 1, 1, 2], [1, 2, 3, 4, 5, 6]),
      testImages: idx([2, 1, 1, 2], [7, 8, 9, 10]),
    };
    expect(loadDataset('c', folder(colour)).train).toMatchObject({ height: 1, width: 1, channels: 2 });
  });

  it.each<[string, Parameters<typeof folder>[0], string]>([
    ['a missing file', { testImages: null }, 'no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz'],
    ['labels of another dataset', { trainLabels: idx([2], [0, 1]) }, '2 labels for the 3 images'],
    ['a test label that no training example has', { testLabels: idx([2], [0, 3]) }, 'label 3 of image 1'],
    ['labels in place of images', { trainImages: idx([3], [0, 0, 0]) }, 'expected [images, height, width]'],
    ['images in place of labels', { trainLabels: idx([3, 1], [0, 0, 0]) }, 'one label per image'],
    ['no images', { trainImages: idx([0, 1, 2], []), trainLabels: idx([0], []) }, 'holds no images'],
    ['images of two sizes', { testImages: idx([2, 2, 1], [7, 8, 9, 10]) }, 'height 1, test images 2'],
  ])('with %s are refused', (_, changes, why) => {
    const path = folder(changes);
    const error = refusal(() => loadDataset('mine', path));
    expect(error.exitCode).toBe(3);
    expect(error.message).toContain(path);
    expect(error.message).toContain(why);
  });

  it('that do not exist are refused', () => {
    expect(refusal(() => loadDataset('mnist', join(root, 'nowhere')))).toMatchObject({
      exitCode: 3,
      message: expect.stringContaining('no such folder'),
    });
  });
});

describe('datasets by name', () => {
  it('an unknown one is a usage error that lists the known', () => {
    const error = refusal(() => loadDataset('minst'));
    expect(error.exitCode).toBe(2);
    expect(error.hint).toContain('mnist, fashion-mnist');
  });

  describe.each(datasets.map((source) => [source.name, source] as const))('%s', (name, source) => {
    it('is complete: 60,000 and 10,000 images of 28×28', (context) => {
      try {
        source.directory();
      } catch (error) {
        // Only a dataset of a system package may be absent.
        expect(error).toMatchObject({
          exitCode: 3,
          hint: expect.stringMatching(/Debian package .* --data-dir/),
        });
        return context.skip(`${name} is not installed`);
      }
      const { train, test } = loadDataset(name);
      expect(train).toMatchObject({ count: 60_000, height: 28, width: 28, channels: 1, classes: 10 });
      expect(test).toMatchObject({ count: 10_000, height: 28, width: 28, channels: 1, classes: 10 });
      expect(train.images).toHaveLength(60_000 * 28 * 28);
      for (const set of [train, test]) expect(new Set(set.labels).size).toBe(10);
      expect(Math.max(...train.images.subarray(0, 784))).toBeGreaterThan(200);
    });
  });

  it('MNIST is MNIST: labels and mean brightness as published', () => {
    const { train, test } = loadDataset('mnist');
    expect([...train.labels.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    expect([...test.labels.subarray(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    const counts = new Array(10).fill(0);
    for (const label of train.labels) counts[label]++;
    expect(counts).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    const sum = train.images.reduce((a, b) => a + b, 0);
    expect(sum / train.images.length / 255).toBeCloseTo(0.1307, 4); // the constant of every tutorial
  });
});

describe('odd labels', () => {
  const set = (labels: number[], classes: number) =>
    ({ labels: Uint8Array.from(labels), classes }) as Parameters<typeof labelWarnings>[0];
  it('are warned of', () => {
    expect(labelWarnings(set([0, 1, 2, 1], 3))).toEqual([]);
    expect(labelWarnings(set([0, 1, 1, 0, 255], 256))[0]).toMatch(
      /labels go to 255, but only 3 classes of 256 occur \(label 255 1 times\).*256 outputs/,
    );
    expect(labelWarnings(set([4, 4], 10))[0]).toMatch(/all 2 training images are of class 4/);
  });
});
