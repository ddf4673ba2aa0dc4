// Whole filters from models to a trained network, command by command, as processes.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readNpy, writeNpy } from '../../src/formats/npy.js';
import { convModel } from '../importers/write-models.js';
import { dwp } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
/** Numbers without a pattern, those of the channels of a filter alike. */
const filters = (n: number, c: number, k: number) =>
  Float32Array.from({ length: n * c * k * k }, (_, i) => {
    const [pixel, filter] = [i % (k * k), Math.floor(i / (c * k * k))];
    return 0.1 * Math.sin(7.7 * pixel * (filter + 1) + filter) + 0.02 * Math.sin(91.7 * i);
  });
const idx = (shape: number[], data: Uint8Array) => {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.set([0, 0, 8, shape.length]);
  for (const [i, side] of shape.entries()) header.writeUInt32BE(side, 4 + 4 * i);
  return Buffer.concat([header, data]);
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-filters-'));
  mkdirSync(at('models'));
  writeFileSync(at('models', 'a.onnx'), convModel([60, 3, 7, 7], filters(60, 3, 7)));
  writeNpy(at('pairs.npy'), { data: filters(40, 2, 5), shape: [40, 2, 5, 5] });
  mkdirSync(at('images'));
  for (const [name, n] of [
    ['train', 20],
    ['t10k', 10],
  ] as const) {
    const pixels = Uint8Array.from({ length: n * 20 * 20 * 3 }, (_, i) => (i * 37 + (i % 3) * 50) % 256);
    writeFileSync(at('images', `${name}-images-idx3-ubyte`), idx([n, 20, 20, 3], pixels));
    writeFileSync(
      at('images', `${name}-labels-idx1-ubyte`),
      idx(
        [n],
        Uint8Array.from({ length: n }, (_, i) => i % 2),
      ),
    );
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const json = async (...args: string[]) => {
  const { code, out, err } = await dwp(...args, '--format', 'json');
  expect(err).not.toMatch(/error/);
  expect(code).toBe(0);
  return JSON.parse(out);
};

test('collect, fit, judge, draw, train', async () => {
  const colours = await json('collect-kernels', at('models'), '--out', at('colours'), '--filters', '3');
  expect(colours.kernels).toMatchObject({ '3x7x7': { found: 60, kept: 60 } });

  const priorOf = (kernels: string, out: string, ...args: string[]) =>
    json('fit-prior', kernels, '--family', 'correlated', '--out', at(out), ...args);
  const whole = await priorOf(at('colours'), 'whole');
  expect(whole).toMatchObject({ size: '3x7x7', kernels: { train: 48, test: 12 }, inputs: [3] });
  const { gaussian, isotropic } = whole.baselines; // 48 filters, 147 numbers: without shrinkage it would have no density
  expect(gaussian.logDensity).toBeGreaterThan(isotropic.logDensity - 5);
  expect(whole.slices.logDensity).toBeLessThan(whole.test.logDensity);
  await priorOf(at('colours'), 'slices', '--size', '7x7');
  await priorOf(at('pairs.npy'), 'pairs');

  const judge = (prior: string, ...args: string[]) =>
    json('eval-prior', at(prior), '--kernels', at('colours'), ...args);
  const [together, apart] = [await judge('whole'), await judge('slices', '--filters', '3')];
  expect([together.n, apart.n]).toEqual([12, 12]);
  expect(together.logDensity).toBeCloseTo(whole.test.logDensity, 3);
  expect(together.logDensity).toBeGreaterThan(apart.logDensity); // the channels are alike
  const refused = await dwp('eval-prior', at('whole'), '--kernels', at('colours'), '--filters', '3');
  expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(/prior of whole filters \(3x7x7\)/)]);

  await json('sample-prior', at('whole'), '-n', '6', '--out', at('s.npy'), '--png', at('s.png'));
  expect(readNpy(at('s.npy')).shape).toEqual([6, 3, 7, 7]);
  expect(decode(readFileSync(at('s.png'))).channels).toBe(3);

  const trained = await json(
    ...['train', '--data', 'colours', '--data-dir', at('images'), '--examples', '20', '--batch', '5'],
    ...['--channels', '4', '3', '--prior', 'correlated', '--steps', '5', '--samples', '2'],
    ...['--prior-path', at('whole'), at('slices'), at('pairs'), '--out', at('run')],
  );
  expect(trained.priors).toMatchObject([
    { layer: 'conv1', paths: [at('whole')], reason: expect.stringMatching(/^3x7x7, whole filters/) },
    {
      layer: 'conv2',
      paths: [at('pairs')],
      reason: expect.stringMatching(/groups of 2 input channels/),
    },
  ]);
  expect(Number.isFinite(trained.bound.total)).toBe(true);
}, 300_000); // nine processes, some seconds when nothing else runs

test('errors: one line, nothing written', async () => {
  const { code, err } = await dwp('collect-kernels', at('models'), '--out', at('none'), '--grouped');
  expect([code, err.split('\n').length]).toEqual([2, 1]);
  expect(err).toMatch(/--grouped needs --filters/);
  const five = await dwp('collect-kernels', at('models'), '--out', at('none'), '--filters', '5');
  expect(five.code).toBe(3);
  expect(five.err).toMatch(/no kernels/);
  expect(existsSync(at('none'))).toBe(false);
});
