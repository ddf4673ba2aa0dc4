// PNG images of 8 bit grey or colour, with or without transparency.
import { encode } from 'fast-png';

/**
 * A grey PNG file.
 * @param pixels [height, width] row-major, 0 black to 255 white
 * @param alpha [height, width], 0 transparent to 255 opaque; opaque everywhere when left out
 * @throws RangeError when the lengths do not fit the size
 */
export function encodeGreyPng(
  pixels: Uint8Array,
  width: number,
  height: number,
  alpha?: Uint8Array,
): Uint8Array {
  for (const plane of alpha ? [pixels, alpha] : [pixels])
    if (plane.length !== width * height || plane.length === 0)
      throw new RangeError(`a ${width}×${height} image needs ${width * height} bytes, not ${plane.length}`);
  if (!alpha) return encode({ width, height, data: pixels, channels: 1, depth: 8 });
  const data = new Uint8Array(2 * pixels.length);
  for (let i = 0; i < pixels.length; i++) {
    data[2 * i] = pixels[i]!;
    data[2 * i + 1] = alpha[i]!;
  }
  return encode({ width, height, data, channels: 2, depth: 8 });
}

/**
 * A colour PNG file.
 * @param planes red, green and blue, each [height, width] row-major, 0 to 255
 * @param alpha [height, width], 0 transparent to 255 opaque; opaque everywhere when left out
 * @throws RangeError when the lengths do not fit the size
 */
export function encodeColourPng(
  planes: readonly Uint8Array[],
  width: number,
  height: number,
  alpha?: Uint8Array,
): Uint8Array {
  const all = alpha ? [...planes, alpha] : planes;
  const n = width * height;
  if (planes.length !== 3 || n === 0 || all.some((plane) => plane.length !== n))
    throw new RangeError(`a ${width}×${height} image needs three planes of ${n} bytes`);
  const data = new Uint8Array(all.length * n);
  all.forEach((plane, c) => {
    for (let i = 0; i < n; i++) data[all.length * i + c] = plane[i]!;
  });
  return encode({ width, height, data, channels: alpha ? 4 : 3, depth: 8 });
}

/** A PNG file as the value of an image's src: the page that holds it asks for no other file. */
export const pngDataUri = (png: Uint8Array): string =>
  `data:image/png;base64,${Buffer.from(png.buffer, png.byteOffset, png.byteLength).toString('base64')}`;
