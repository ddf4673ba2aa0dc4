// Labels that are rarely meant, as processes: one class alone, and a 255 among ten classes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dwp } from './run.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-labels-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const idx = (sizes: number[], values: Uint8Array) => {
  const head = Buffer.alloc(4 + 4 * sizes.length);
  head.set([0, 0, 8, sizes.length]);
  for (const [i, size] of sizes.entries()) head.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([head, values]);
};

/** A folder of images of 28×28 with these training labels. */
function writeData(name: string, labels: number[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  const images = Uint8Array.from({ length: labels.length * 784 }, (_, i) => (37 * i + (i % 11) * 13) % 256);
  for (const part of ['train', 't10k']) {
    writeFileSync(join(path, `${part}-images-idx3-ubyte`), idx([labels.length, 28, 28], images));
    writeFileSync(join(path, `${part}-labels-idx1-ubyte`), idx([labels.length], Uint8Array.from(labels)));
  }
  return path;
}

const digits = Array.from({ length: 60 }, (_, i) => i % 10);

test.each<[string, number[], RegExp]>([
  ['one', digits.map(() => 3), /warning: all 60 training images are of class 3/],
  [
    'ignored',
    [...digits.slice(0, 59), 255],
    /warning: the training labels go to 255, but only 11 classes of 256 occur \(label 255 1 times?\)/,
  ],
])('%s: train and fit-images warn', async (name, labels, warning) => {
  const data = ['--data', 'mine', '--data-dir', writeData(name, labels)];
  const at = (out: string) => join(folder, `${name}-${out}`);
  const fit = ['--epochs', '1', '--samples', '2', '--test-images', '2', '--out', at('vae')];
  expect((await dwp('fit-images', ...data, ...fit)).err).toMatch(warning);
  const train = [
    '--prior',
    'none',
    '--examples',
    '10',
    '--steps',
    '1',
    '--width',
    '0.25',
    '--out',
    at('run'),
  ];
  expect((await dwp('train', ...data, ...train)).err).toMatch(warning);
});
