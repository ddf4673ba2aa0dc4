// Stored numbers → float32: the float types that model files use, in either byte order.

export type FloatType = 'float16' | 'bfloat16' | 'float32' | 'float64';

export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = {
  float16: 2,
  bfloat16: 2,
  float32: 4,
  float64: 8,
};

/** IEEE 754 binary16 → number. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Every binary16 by its bits; made when the first one is read. */
let halves: Float32Array | undefined;

/**
 * @param bytes whole items; a view of float32 on them is returned where their order, width and place allow it
 * @returns one float32 per item
 */
export function toFloat32(bytes: Uint8Array, type: FloatType, littleEndian = true): Float32Array {
  const width = FLOAT_BYTES[type];
  const count = bytes.length / width;
  if (!Number.isInteger(count)) throw new RangeError(`${bytes.length} bytes of ${type}`);
  const { buffer, byteOffset } = bytes;
  if (type === 'float32' && littleEndian && byteOffset % 4 === 0)
    return new Float32Array(buffer, byteOffset, count);
  const view = new DataView(buffer, byteOffset, bytes.length);
  const result = new Float32Array(count);
  if (type === 'float32') for (let i = 0; i < count; i++) result[i] = view.getFloat32(4 * i, littleEndian);
  else if (type === 'float64')
    for (let i = 0; i < count; i++) result[i] = view.getFloat64(8 * i, littleEndian);
  else if (type === 'bfloat16') {
    const bits = new Uint32Array(result.buffer);
    for (let i = 0; i < count; i++) bits[i] = view.getUint16(2 * i, littleEndian) << 16;
  } else {
    halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToFloat(bits));
    for (let i = 0; i < count; i++) result[i] = halves[view.getUint16(2 * i, littleEndian)];
  }
  return result;
}
