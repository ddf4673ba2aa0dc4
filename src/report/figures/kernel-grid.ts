// Kernels as pictures: a grid of grey tiles, zero mid-grey, positive lighter, negative darker; in colour where a kernel
// has three channels, and the channels one below the other where it has another number of them.
import { usageError } from '../../errors.js';
import { encodeColourPng, encodeGreyPng } from '../../formats/png.js';

export interface KernelGridOptions {
  /** Tiles in a row; as square as can be when left out. */
  columns?: number;
  /** Pixels per weight, each way. */
  scale?: number;
  /** What white and black stand for: ± the largest |w| of the kernel itself (`own`), of all kernels (`grid`), or 1 (`unit`). */
  normalise?: 'own' | 'grid' | 'unit';
  /** Between the tiles, `scale` pixels wide: white, or see-through. */
  gap?: 'white' | 'transparent';
  /** Of whole filters, [channels, h, w] each; 1 unless given. */
  channels?: number;
}

/** One array of count·h·w weights, or one array per kernel; row-major either way. */
export type Kernels = ArrayLike<number> | readonly ArrayLike<number>[];

const MID_GREY = 128;
const MAX_PIXELS = 2 ** 26;

/** Eight tiles in a row, more when there are over 64, fewer when one row holds all. */
export const columnsFor = (count: number): number =>
  Math.max(1, Math.min(count, 8), Math.ceil(Math.sqrt(count)));

/**
 * @param kernels count kernels of [h, w]; the count follows from the length
 * @returns grey and alpha planes, both [height, width]; cells that no kernel fills are like the gaps
 * A weight that is not finite is drawn as zero.
 * @throws RangeError when the length is not a whole number of kernels; DwpError USAGE when the picture is too large
 */
export function kernelGridPixels(
  kernels: Kernels,
  h: number,
  w: number,
  options: KernelGridOptions = {},
): { grey: Uint8Array; alpha: Uint8Array; width: number; height: number } {
  const tiles = split(kernels, h * w);
  const { columns = columnsFor(tiles.length), scale = 1, normalise = 'own', gap = 'white' } = options;
  const rows = Math.ceil(tiles.length / columns);
  const width = (columns * (w + 1) - 1) * scale;
  const height = (rows * (h + 1) - 1) * scale;
  if (tiles.length === 0) throw new RangeError('a grid needs at least one kernel');
  if (width * height > MAX_PIXELS)
    throw usageError(
      `a picture of ${tiles.length} kernels of ${h}x${w} would have ${width}x${height} pixels`,
      'draw fewer kernels',
    );
  const grey = new Uint8Array(width * height).fill(255);
  const alpha = new Uint8Array(width * height).fill(gap === 'white' ? 255 : 0);
  const largestOfAll =
    normalise === 'grid' ? tiles.reduce((max, tile) => Math.max(max, largest(tile)), 0) : 0;
  tiles.forEach((tile, i) => {
    const top = Math.floor(i / columns) * (h + 1) * scale;
    const left = (i % columns) * (w + 1) * scale;
    const unit = normalise === 'unit' ? 1 : normalise === 'grid' ? largestOfAll : largest(tile);
    for (let y = 0; y < h * scale; y++) {
      for (let x = 0; x < w * scale; x++) {
        const value = tile[Math.floor(y / scale) * w + Math.floor(x / scale)]!;
        const at = (top + y) * width + left + x;
        grey[at] =
          Number.isFinite(value) && unit > 0 ? Math.round(MID_GREY + 127 * (value / unit)) : MID_GREY;
        alpha[at] = 255;
      }
    }
  });
  return { grey, alpha, width, height };
}

/**
 * The first `count` kernels of [h, w] as a grey PNG file.
 * @throws RangeError when there are fewer; DwpError USAGE when the picture is too large
 */
export function kernelGridPng(
  data: Kernels,
  count: number,
  h: number,
  w: number,
  options: KernelGridOptions = {},
): Uint8Array {
  const { channels = 1 } = options;
  const tiles = split(data, channels * h * w);
  if (tiles.length < count) throw new RangeError(`${count} kernels asked for, ${tiles.length} given`);
  if (channels === 3) return colourGridPng(tiles.slice(0, count), h, w, options);
  const { grey, alpha, width, height } = kernelGridPixels(tiles.slice(0, count), channels * h, w, options);
  return encodeGreyPng(grey, width, height, options.gap === 'transparent' ? alpha : undefined);
}

/** Channels as red, green and blue, each filter on one scale. */
function colourGridPng(
  tiles: readonly ArrayLike<number>[],
  h: number,
  w: number,
  options: KernelGridOptions,
): Uint8Array {
  // three grey grids of the same filters, each tile in units of its filter's largest weight
  const units = tiles.map(largest);
  const most = Math.max(...units);
  const planes = [0, 1, 2].map((c) =>
    kernelGridPixels(
      tiles.map((tile, i) => {
        const unit = options.normalise === 'grid' ? most : units[i]!;
        return Array.from({ length: h * w }, (_, j) => (unit > 0 ? tile[c * h * w + j]! / unit : 0));
      }),
      h,
      w,
      { ...options, normalise: 'unit' },
    ),
  );
  const [{ alpha, width, height }] = planes as [ReturnType<typeof kernelGridPixels>];
  return encodeColourPng(
    planes.map(({ grey }) => grey),
    width,
    height,
    options.gap === 'transparent' ? alpha : undefined,
  );
}

function split(kernels: Kernels, dimensions: number): readonly ArrayLike<number>[] {
  if (kernels.length > 0 && typeof kernels[0] !== 'number') {
    const tiles = kernels as readonly ArrayLike<number>[];
    const odd = tiles.find((tile) => tile.length !== dimensions);
    if (odd) throw new RangeError(`a kernel has ${odd.length} weights instead of ${dimensions}`);
    return tiles;
  }
  const flat = kernels as ArrayLike<number>;
  if (flat.length % dimensions !== 0)
    throw new RangeError(`${flat.length} weights are not a whole number of kernels of ${dimensions}`);
  return Array.from({ length: flat.length / dimensions }, (_, i) =>
    Array.from({ length: dimensions }, (_, j) => flat[i * dimensions + j]!),
  );
}

const largest = (tile: ArrayLike<number>): number => {
  let max = 0;
  for (let i = 0; i < tile.length; i++) if (Number.isFinite(tile[i])) max = Math.max(max, Math.abs(tile[i]!));
  return max;
};
