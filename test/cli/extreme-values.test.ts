// Kernels and priors whose numbers or sizes nothing can be computed with: said before any work, with exit code 3.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readNpy, writeNpy } from '../../src/formats/npy.js';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.js';
import { dwp } from './run.js';

let folder: string;
const at = (name: string) => join(folder, name);
const waves = (count: number, side: number, scale: number) => ({
  data: Float32Array.from({ length: count * side * side }, (_, i) => scale * Math.sin(1.7 * i + (i % 13))),
  shape: [count, side, side],
});
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-extreme-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each<[string, number, number, RegExp]>([
  ['large', 3, 1e30, /root mean square of the kernels is 7\.\de\+29.*1e-12 to 1000000000000/],
  ['small', 3, 1e-30, /root mean square of the kernels is 7\.\de-31/],
  ['wide', 33, 1, /kernels of 33x33 are too large: the limit of priors is 32x32/],
])('fit-prior refuses %s kernels', async (name, side, scale, message) => {
  writeNpy(at(`${name}.npy`), waves(40, side, scale));
  const { code, err } = await dwp('fit-prior', at(`${name}.npy`), '--family', 'gaussian', '--out', at(name));
  expect(err).toMatch(message);
  expect(code).toBe(3);
  expect(existsSync(at(name))).toBe(false);
});

test('a prior with weights of 1e38 is refused; samples in blocks are those that are drawn at once', async () => {
  writeNpy(at('good.npy'), waves(60, 3, 1));
  expect((await dwp('fit-prior', at('good.npy'), '--family', 'gaussian', '--out', at('p'))).code).toBe(0);
  for (const n of ['20000', '10'])
    expect((await dwp('sample-prior', at('p'), '-n', n, '--out', at(`${n}.npy`))).code).toBe(0);
  const [many, few] = ['20000.npy', '10.npy'].map((name) => readNpy(at(name)).data);
  for (const [i, x] of few.entries()) expect(many[i]).toBeCloseTo(x, 5);
  expect(many.subarray(0, 9)).not.toEqual(many.subarray(9 * 2 ** 14, 9 * 2 ** 14 + 9)); // another block
  const { tensors } = readSafetensors(at('p/weights.safetensors'));
  for (const { data } of Object.values(tensors)) data[0] = 1e38;
  writeSafetensors(at('p/weights.safetensors'), tensors as never);
  const { code, err } = await dwp('sample-prior', at('p'), '--out', at('none.npy'));
  expect(err).toMatch(/weights.safetensors: .* holds values beyond/);
  expect(code).toBe(3);
  expect(existsSync(at('none.npy'))).toBe(false);
});

test('samples that are not finite are never written', async () => {
  writeNpy(at('few.npy'), waves(60, 3, 1));
  const fit = await dwp('fit-prior', at('few.npy'), '--family', 'flow', '--steps', '2', '--out', at('flow'));
  expect(fit.code).toBe(0);
  const { tensors } = readSafetensors(at('flow/weights.safetensors'));
  for (const logScale of [-88.6, -1000]) {
    tensors.logScale.data.fill(logScale); // float32 ends at exp(88.7)
    writeSafetensors(at('flow/weights.safetensors'), tensors as never);
    const { code, err } = await dwp('sample-prior', at('flow'), '-n', '20000', '--out', at('new/inf.npy'));
    expect(err).toMatch(/flow: its samples are not finite/);
    expect(code).toBe(3);
    expect(existsSync(at('new'))).toBe(false);
  }
});
