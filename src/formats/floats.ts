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

const word = new DataView(new ArrayBuffer(4));

/** A float32 → the bits of the nearest IEEE 754 binary16, ties to even; what is too large becomes infinite. */
export function floatToHalf(x: number): number {
  word.setFloat32(0, x);
  const sign = (word.getUint32(0) >>> 16) & 0x8000;
  const size = Math.abs(Math.fround(x));
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size))); // of normal numbers; below, steps stay 2⁻²⁴
  const steps = size / 2 ** (exponent - 10);
  let whole = Math.floor(steps);
  const rest = steps - whole;
  if (rest > 0.5 || (rest === 0.5 && whole % 2 === 1)) whole++;
  return sign | (whole < 1024 ? whole : ((exponent + 14) << 10) + whole); // a carry goes into the exponent
}

/** Little-endian bytes of the numbers nearest to `values`. */
export function fromFloat32(values: Float32Array, type: FloatType): Uint8Array {
  const width = FLOAT_BYTES[type];
  const view = new DataView(new ArrayBuffer(values.length * width));
  values.forEach((x, i) => {
    if (type === 'float32') view.setFloat32(4 * i, x, true);
    else if (type === 'float64') view.setFloat64(8 * i, x, true);
    else if (type === 'float16') view.setUint16(2 * i, floatToHalf(x), true);
    else {
      word.setFloat32(0, x);
      const bits = word.getUint32(0);
      view.setUint16(2 * i, (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16, true);
    }
  });
  return new Uint8Array(view.buffer);
}
