import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { encodeGreyPng, pngDataUri } from '../../src/formats/png.js';
import { columnsFor, kernelGridPixels, kernelGridPng } from '../../src/report/figures/kernel-grid.js';

describe('encodeGreyPng', () => {
  it('is read back pixel by pixel', () => {
    const pixels = Uint8Array.from([0, 50, 100, 150, 200, 255]);
    const image = decode(encodeGreyPng(pixels, 3, 2));
    expect(image).toMatchObject({ width: 3, height: 2, channels: 1, depth: 8 });
    expect([...image.data]).toEqual([...pixels]);
  });

  it('interleaves alpha', () => {
    const image = decode(encodeGreyPng(Uint8Array.from([10, 20]), 2, 1, Uint8Array.from([255, 0])));
    expect(image.channels).toBe(2);
    expect([...image.data]).toEqual([10, 255, 20, 0]);
  });

  it.each([
    ['too few pixels', () => encodeGreyPng(new Uint8Array(5), 3, 2)],
    ['no pixels', () => encodeGreyPng(new Uint8Array(0), 0, 0)],
    ['a short alpha plane', () => encodeGreyPng(new Uint8Array(6), 3, 2, new Uint8Array(5))],
  ])('refuses %s', (_, encode) => expect(encode).toThrow(RangeError));

  it('becomes a data URI', () => {
    const png = encodeGreyPng(Uint8Array.from([7]), 1, 1);
    const uri = pngDataUri(png);
    expect(uri).toMatch(/^data:image\/png;base64,/);
    expect(new Uint8Array(Buffer.from(uri.split(',')[1]!, 'base64'))).toEqual(new Uint8Array(png));
  });
});

describe('kernelGridPixels', () => {
  // two kernels of [1, 2] in one row: 2 + gap + 2 pixels
  const two = [
    [1, -1],
    [0, 0.5],
  ];

  it('draws zero mid-grey and ± the largest weight white and black', () => {
    const own = kernelGridPixels(two, 1, 2, { columns: 2 });
    expect(own).toMatchObject({ width: 5, height: 1 });
    expect([...own.grey]).toEqual([255, 1, 255, 128, 255]);
    const grid = kernelGridPixels(two, 1, 2, { columns: 2, normalise: 'grid' });
    expect([...grid.grey]).toEqual([255, 1, 255, 128, 192]);
  });

  it('takes one flat array as well', () => {
    const flat = kernelGridPixels(Float32Array.from(two.flat()), 1, 2, { columns: 2 });
    expect([...flat.grey]).toEqual([...kernelGridPixels(two, 1, 2, { columns: 2 }).grey]);
  });

  it('repeats pixels by the scale, gaps too', () => {
    const { width, height, grey } = kernelGridPixels(two, 1, 2, { columns: 1, scale: 2 });
    expect([width, height]).toEqual([4, 6]);
    expect([...grey.slice(0, 8)]).toEqual([255, 255, 1, 1, 255, 255, 1, 1]);
    expect([...grey.slice(8, 16)]).toEqual(Array(8).fill(255));
    expect([...grey.slice(16, 20)]).toEqual([128, 128, 255, 255]);
  });

  it('leaves gaps and unfilled cells see-through when asked to', () => {
    const { alpha } = kernelGridPixels([...two, [1, 1]], 1, 2, { columns: 2, gap: 'transparent' });
    expect([...alpha]).toEqual([255, 255, 0, 255, 255, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0]);
  });

  it('draws a zero kernel and weights that are not finite mid-grey', () => {
    const { grey } = kernelGridPixels(
      [
        [0, 0],
        [Number.NaN, 2],
      ],
      1,
      2,
      { columns: 2 },
    );
    expect([...grey]).toEqual([128, 128, 255, 128, 255]);
  });

  it('refuses lengths that do not fit, no kernels, and pictures beyond all measure', () => {
    expect(() => kernelGridPixels([1, 2, 3], 1, 2)).toThrow(/whole number/);
    expect(() => kernelGridPixels([[1, 2, 3]], 1, 2)).toThrow(/3 weights instead of 2/);
    expect(() => kernelGridPixels([], 1, 2)).toThrow(RangeError);
    expect(() => kernelGridPixels(two, 1, 2, { scale: 10_000 })).toThrow(DwpError);
  });
});

describe('kernelGridPng', () => {
  it('decodes to the pixels of the first kernels', () => {
    const data = Float32Array.from({ length: 3 * 9 }, (_, i) => Math.sin(i));
    const image = decode(kernelGridPng(data, 2, 3, 3, { scale: 2 }));
    const { grey, width, height } = kernelGridPixels(data.slice(0, 18), 3, 3, { scale: 2 });
    expect(image).toMatchObject({ width, height, channels: 1 });
    expect([...image.data]).toEqual([...grey]);
  });

  it('refuses to draw more than there are', () => {
    expect(() => kernelGridPng(new Float32Array(18), 3, 3, 3)).toThrow(/3 kernels asked for, 2 given/);
  });

  it.each([
    [1, 1],
    [5, 5],
    [32, 8],
    [64, 8],
    [100, 10],
  ])('sets %i kernels in %i columns', (count, columns) => expect(columnsFor(count)).toBe(columns));
});
