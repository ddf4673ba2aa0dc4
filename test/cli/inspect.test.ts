import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { foldIn, RandomStream, seedKey } from '../../src/engine/random.js';
import { writeNpy } from '../../src/formats/npy.js';
import { node, onnxModel, rawFloats } from '../importers/write-models.js';
import { dwp } from './run.js';

const HOSTILE = 'a\u001b[31m<img src=x onerror=alert(1)>\n\u009b2J\u202e';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const inspectJson = async (...args: string[]) =>
  JSON.parse((await dwp('inspect', ...args, '--format', 'json')).out);

/** Noise, and stripes of a random height with some noise. */
function weights(shape: number[], structure: number, ...name: (string | number)[]): Float32Array {
  const random = new RandomStream(foldIn(seedKey(8), ...name));
  const [out, inputs, h, w] = shape;
  return Float32Array.from({ length: out * inputs }, () => 0).reduce(
    (data, _, kernel) => {
      const height = structure * random.normal();
      for (let i = 0; i < h * w; i++)
        data[kernel * h * w + i] = random.normal() + (Math.floor(i / w) === 1 ? height : 0);
      return data;
    },
    new Float32Array(out * inputs * h * w),
  );
}

const model = (name: string, shape: number[], data: Float32Array) =>
  onnxModel([node('Conv', ['x', `${name}w`], name)], [rawFloats(`${name}w`, shape, data)]);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-inspect-'));
  const shape = [32, 16, 3, 3];
  writeFileSync(at('noise.onnx'), model('conv', shape, weights(shape, 0, 'noise')));
  writeFileSync(at('stripes.onnx'), model('conv', shape, weights(shape, 4, 'stripes')));
  writeFileSync(at('hostile.onnx'), model(HOSTILE, shape, weights(shape, 4, 'hostile')));
  writeNpy(at('other.npy'), { shape: [512, 3, 3], data: weights([32, 16, 3, 3], 4, 'other') });
  const models = ['noise.onnx', 'stripes.onnx'].map((name) => at(name));
  expect((await dwp('collect-kernels', ...models, '--out', at('kernels'))).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a model: measures of every layer and size, as data and as a table', async () => {
  const { layers, sizes } = await inspectJson(at('stripes.onnx'));
  const measures = {
    sparsity: 0,
    varianceEntropy: expect.any(Number),
    orthogonality: expect.any(Number),
    lagOne: {
      median: expect.any(Number),
      mean: expect.any(Number),
      standardError: expect.any(Number),
      kernels: 512,
    },
  };
  expect(layers).toEqual([expect.objectContaining({ name: expect.any(String), kernels: 512, ...measures })]);
  expect(sizes['3x3']).toMatchObject({ layers: 1, kernels: 512, looksLikeNoise: false, ...measures });
  expect(sizes['3x3'].explainedVariance).toHaveLength(9);
  expect(sizes['3x3'].varianceEntropy).toBeLessThan(0.9);
  const { out } = await dwp('inspect', at('stripes.onnx'));
  expect(out).toMatch(
    /layer +kind +out × in +size +kernels +unusable +std +sparse +entropy +orthogonal +lag-1/,
  );
  expect(out).not.toContain('noise\n');
});

test('kernels that look like white noise are warned of, and only these', async () => {
  const { err, out } = await dwp('inspect', at('noise.onnx'));
  expect(err).toMatch(
    /noise\.onnx: 512 kernels of 3x3 look like white noise \(.* -0\.1\d\d, of noise -0\.125;/,
  );
  expect(out).toMatch(/^3x3 .* looks like noise$/m);
  const dataset = await dwp('inspect', at('kernels'));
  expect(dataset.err).toContain('noise.onnx: 512 kernels of 3x3 look like white noise');
  expect(dataset.err).not.toContain('stripes.onnx');
});

test('a dataset: by source, with the shift between them', async () => {
  const { sizes, sources, shift } = await inspectJson(at('kernels'));
  expect(sizes['3x3']).toMatchObject({ kernels: 1024, looksLikeNoise: false, orthogonality: null });
  expect(sources.map(({ name, kernels }: Record<string, unknown>) => ({ name, kernels }))).toEqual([
    { name: 'noise.onnx', kernels: 512 },
    { name: 'stripes.onnx', kernels: 512 },
  ]);
  expect(sources[0].sizes['3x3'].looksLikeNoise).toBe(true);
  const { names, nats, chance } = shift['3x3'];
  expect(names).toEqual(['noise.onnx', 'stripes.onnx']);
  expect(nats[0][1]).toBeGreaterThan(2 * chance[0][1]);
});

test('several paths: the shift between each two of them', async () => {
  const paths = [at('kernels'), at('stripes.onnx'), at('other.npy')];
  const { kind, of, shift } = await inspectJson(...paths);
  expect(kind).toBe('several');
  expect(of.map(({ kind }: { kind: string }) => kind)).toEqual(['dataset', 'model', 'dataset']);
  const { names, nats, chance } = shift['3x3'];
  expect(names).toEqual(['kernels', 'stripes.onnx', 'other.npy']);
  // both are samples of one law
  expect(nats[1][2]).toBeLessThan(1.5 * chance[1][2]);
  expect((await dwp('inspect', ...paths)).out).toMatch(/^3 +other\.npy +\(?\d\.\d\d\)? +\(\d\.\d\d\) +–$/m);
});

test('--html writes a page that asks for nothing; it never replaces a file', async () => {
  const { code, out } = await dwp('inspect', at('kernels'), '--html', at('page.html'));
  expect(code).toBe(0);
  expect(out).toContain(`report written to ${at('page.html')}`);
  const page = readFileSync(at('page.html'), 'utf8');
  for (const id of ['kernels', 'spectra', 'shift', 'reproduce'])
    expect(page).toContain(`<section id="${id}">`);
  expect(page.replace(/data:image|http:\/\/www\.w3\.org/g, '')).not.toMatch(
    /(?:src|href)="(?!#|\/png)|url\(|https?:/,
  );
  const again = await dwp('inspect', at('kernels'), '--html', at('page.html'));
  expect(again.code).toBe(2);
  expect(again.err).toContain('exists already');
});

test('names from a file are shown, and obeyed by nobody', async () => {
  const { code, out, err } = await dwp('inspect', at('hostile.onnx'), '--html', at('hostile.html'));
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('a␛[31m<img src=x onerror=alert(1)>␊�2J�');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be there
  expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  const page = readFileSync(at('hostile.html'), 'utf8');
  expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;');
  expect(page).not.toContain('<img src=x');
  expect((await inspectJson(at('hostile.onnx'))).layers[0].name).toContain('\u001b[31m');
});

test('kernels larger than any that can be collected', async () => {
  const shape = [2, 1, 1, 256];
  writeFileSync(at('wide.onnx'), model('conv', shape, weights(shape, 0, 'wide')));
  const { shift, of } = await inspectJson(at('stripes.onnx'), at('wide.onnx'), at('other.npy'));
  expect(Object.keys(of[1].sizes)).toEqual(['1x256']);
  expect(Object.keys(shift)).toEqual(['3x3']);
});

test('a page is not written when a path cannot be read', async () => {
  const { code } = await dwp('inspect', at('kernels'), at('nowhere.onnx'), '--html', at('never.html'));
  expect(code).toBe(3);
  expect(existsSync(at('never.html'))).toBe(false);
});
