// Networks of others with kernels of priors: what is drawn is of the prior, everything else keeps its bytes, and the
// result runs in onnxruntime.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { createEngine, type Engine, seedKey } from '../../src/engine/index.js';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import { floatToHalf, fromFloat32, halfToFloat, toFloat32 } from '../../src/formats/floats.js';
import { memorySource } from '../../src/formats/source.js';
import { findWeightPlaces } from '../../src/importers/onnx-places.js';
import { type RewriteOptions, rewriteModel } from '../../src/interchange/rewrite-onnx.js';
import { isotropicNormal } from '../../src/priors/index.js';

const ort = await onnxruntime();

const FIXTURES = fileURLToPath(new URL('../fixtures/onnx/', import.meta.url));
const PRETRAINED = fileURLToPath(new URL('../../pretrained/', import.meta.url));
let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const STD = 0.25;
const priors = (...sizes: [number, number][]) =>
  Object.fromEntries(
    sizes.map(([h, w]) => [`prior-${h}x${w}`, { prior: isotropicNormal({ h, w }, {}, STD) }]),
  );
const rewrite = (
  bytes: Uint8Array,
  sizes: [number, number][],
  options: Partial<RewriteOptions> = {},
  seed = 0,
) =>
  rewriteModel(
    memorySource(bytes, 'model.onnx'),
    priors(...sizes),
    { scale: 'prior', fallback: 'leave', ...options },
    engine,
    seedKey(seed),
  );

/** Bytes that differ must lie in the given ranges. */
function changedOutside(before: Uint8Array, after: Uint8Array, ranges: { start: number; end: number }[]) {
  let count = 0;
  before.forEach((byte, i) => {
    if (byte !== after[i] && !ranges.some(({ start, end }) => i >= start && i < end)) count++;
  });
  return count;
}

test('a network of the project runs with new kernels of one size, the others as they were', async () => {
  const bytes = readFileSync(join(PRETRAINED, 'lenet-00.onnx'));
  const result = await rewrite(bytes, [[5, 5]]);
  const { places } = findWeightPlaces(memorySource(bytes, 'model.onnx'));
  const drawn = result.layers.filter(({ from }) => from);
  expect(drawn.map(({ from, shape }) => [from, shape?.slice(2)])).toEqual([['prior-5x5', [5, 5]]]);
  expect(result.layers.find(({ from }) => !from)?.reason).toBe('no prior of 7x7');
  const five = places.filter(({ shape }) => shape[2] === 5);
  expect(
    changedOutside(
      bytes,
      result.bytes,
      five.flatMap(({ parts }) => parts),
    ),
  ).toBe(0);
  // root mean square of n normals: 5 standard errors of STD / √(2n)
  const count = drawn[0].shape!.reduce((a, b) => a * b, 1);
  expect(Math.abs(drawn[0].after! - STD)).toBeLessThan((5 * STD) / Math.sqrt(2 * count));
  const outputs = await Promise.all(
    [bytes, result.bytes].map(async (model) => {
      const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
      const [{ name, ...about }] = session.inputMetadata as unknown as [{ name: string; shape: number[] }];
      const shape = about.shape.map((n) => (typeof n === 'number' && n > 0 ? n : 1));
      const image = new ort.Tensor(
        'float32',
        new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5),
        shape,
      );
      const out = await session.run({ [name]: image });
      return Array.from(Object.values(out)[0].data as Float32Array);
    }),
  );
  expect(outputs[0]).toHaveLength(outputs[1].length);
  expect(outputs[0]).not.toEqual(outputs[1]);
  expect(outputs[1].every(Number.isFinite)).toBe(true);
});

test('the same seed gives the same bytes, another one others; keep holds the root mean square', async () => {
  const bytes = readFileSync(join(FIXTURES, 'float32-opset17.onnx'));
  const sizes = sizesOf(bytes);
  const [a, b, c] = await Promise.all([0, 0, 1].map((seed) => rewrite(bytes, sizes, {}, seed)));
  expect(Buffer.from(a.bytes).equals(b.bytes)).toBe(true);
  expect(Buffer.from(a.bytes).equals(c.bytes)).toBe(false);
  const kept = await rewrite(bytes, sizes, { scale: 'keep' });
  for (const { from, before, after } of kept.layers) if (from) expect(after! / before!).toBeCloseTo(1, 5);
  const he = await rewrite(bytes, [], { fallback: 'he' });
  expect(he.layers.filter(({ from }) => from === 'he')).toHaveLength(
    a.layers.filter(({ from }) => from).length,
  );
});

function sizesOf(bytes: Uint8Array): [number, number][] {
  const { places } = findWeightPlaces(memorySource(bytes, 'model.onnx'));
  const names = new Set(places.map(({ shape }) => shape.slice(2).join()));
  return [...names].map((name) => name.split(',').map(Number) as [number, number]);
}

describe('fixtures of other exporters', () => {
  test.each([
    'float32-typed.onnx',
    'float16-raw.onnx',
    'float16-through.onnx',
    'bfloat16-raw.onnx',
    'float64-raw.onnx',
    'constants.onnx',
    'functions.onnx',
    'if.onnx',
    'shared.onnx',
  ])('%s', async (file) => {
    const bytes = readFileSync(join(FIXTURES, file));
    const { places } = findWeightPlaces(memorySource(bytes, file));
    expect(places.length).toBeGreaterThan(0);
    const result = await rewrite(bytes, sizesOf(bytes));
    expect(result.bytes).toHaveLength(bytes.length);
    expect(
      changedOutside(
        bytes,
        result.bytes,
        places.flatMap(({ parts }) => parts),
      ),
    ).toBe(0);
    const again = findWeightPlaces(memorySource(result.bytes, file)).places;
    for (const [i, place] of again.entries()) {
      const values = place.read();
      const rms = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
      expect(rms).toBeCloseTo(result.layers[i].after!, place.dtype.includes('16') ? 2 : 5);
      expect(values).not.toEqual(places[i].read());
    }
    if (places.some(({ dtype }) => dtype === 'bfloat16' || dtype === 'float64')) return; // onnxruntime has no such Conv
    const load = async (model: Uint8Array) => {
      try {
        await (
          await ort.InferenceSession.create(model, { logSeverityLevel: 4, intraOpNumThreads: 1 })
        ).release();
        return true;
      } catch {
        return false;
      }
    };
    expect(await load(result.bytes)).toBe(await load(bytes));
  });

  test('every other one is read to its end, or refused because its weights are elsewhere', () => {
    for (const file of readdirSync(FIXTURES).filter((name) => name.endsWith('.onnx')))
      try {
        const { places, left } = findWeightPlaces(memorySource(readFileSync(join(FIXTURES, file)), file));
        expect(places.length + left.length).toBeGreaterThan(0);
      } catch (error) {
        expect(String(error)).toContain('lies in another file');
      }
  });
});

test('two priors of one size are refused', async () => {
  const bytes = readFileSync(join(FIXTURES, 'float32-opset17.onnx'));
  const prior = isotropicNormal({ h: 3, w: 3 }, {}, STD);
  const options = { scale: 'prior', fallback: 'leave' } as const;
  await expect(
    rewriteModel(memorySource(bytes, 'm'), { a: { prior }, b: { prior } }, options, engine, seedKey(0)),
  ).rejects.toThrow('a and b are both priors of size 3x3');
});

test('float16 and bfloat16 round to the nearest, ties to even', () => {
  for (let bits = 0; bits < 0x7c00; bits++) expect(floatToHalf(halfToFloat(bits))).toBe(bits);
  expect(floatToHalf(-(1 + 2 ** -11))).toBe(0xbc00); // a tie, to even
  expect(floatToHalf(1 + 3 * 2 ** -11)).toBe(0x3c02);
  expect(floatToHalf(2 ** -25)).toBe(0);
  expect(floatToHalf(65519)).toBe(0x7bff);
  expect(floatToHalf(65520)).toBe(0x7c00);
  const values = Float32Array.of(1, -0.5, 3.140625, 1e-3);
  const read = toFloat32(fromFloat32(values, 'bfloat16'), 'bfloat16');
  values.forEach((x, i) => {
    expect(Math.abs(read[i] - x)).toBeLessThanOrEqual(Math.abs(x) * 2 ** -8);
  });
});
