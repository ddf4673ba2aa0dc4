// NumPy arrays inside pickles: what their types and arrays are given, put together without NumPy.
import { inputError } from '../errors.js';
import { FLOAT_BYTES, type FloatType, toFloat32 } from '../formats/floats.js';
import type { PickleState } from '../formats/pickle.js';
import { sizeOf } from '../formats/shape.js';
import { shown } from '../formats/source.js';
import { permuteAxes } from './layers.js';
import type { NamedTensor } from './state-dict-tensors.js';

const FLOATS: Readonly<Record<string, FloatType>> = { f2: 'float16', f4: 'float32', f8: 'float64' };
const SMALL_INTEGERS = ['b1', 'u1', 'i1'];
const MOST_AXES = 64;

/** `numpy.dtype('f4', False, True)`, whose state holds the byte order. */
class NumpyType implements PickleState {
  bigEndian = false;

  constructor(readonly code: string) {}

  setState(state: unknown): void {
    if (Array.isArray(state)) this.bigEndian = state[1] === '>';
  }
}

/** An array; its state is (version, shape, type, whether columns come first, bytes). */
export class NumpyArray implements PickleState {
  constructor(public state: readonly unknown[] = []) {}

  setState(state: unknown): void {
    if (Array.isArray(state)) this.state = state;
  }
}

/** Functions of NumPy, and the one by which older pickles write bytes. */
export const numpyCalls: Readonly<Record<string, (args: readonly unknown[]) => unknown>> = {
  'numpy.dtype': ([code]) => new NumpyType(typeof code === 'string' ? code : ''),
  '_codecs.encode': ([text]) =>
    typeof text === 'string' ? new Uint8Array(Buffer.from(text, 'latin1')) : text,
  ...Object.fromEntries(
    ['numpy.core', 'numpy._core'].flatMap((core) => [
      [`${core}.multiarray._reconstruct`, () => new NumpyArray()],
      [
        `${core}.numeric._frombuffer`,
        ([bytes, type, shape, order]: readonly unknown[]) =>
          new NumpyArray([1, shape, type, order === 'F', bytes]),
      ],
    ]),
  ),
};

/**
 * The array as a tensor.
 *
 * @param path names the file in errors
 * @throws DwpError INPUT when its shape does not fit its bytes
 */
export function numpyTensor({ state }: NumpyArray, name: string, path: string): NamedTensor {
  const [shape, type, columnsFirst, bytes] = state.slice(-4);
  const bad = (why: string) =>
    inputError(`${path}: damaged (NumPy array ${shown(name)}: ${why})`, 'fetch or save it again');
  if (!isShape(shape) || !(type instanceof NumpyType)) throw bad('no shape or type');
  const code = type.code.replace(/^[<>=|]/, '');
  const big = type.bigEndian || type.code.startsWith('>');
  const count = sizeOf(shape);
  const float = Object.hasOwn(FLOATS, code) ? FLOATS[code] : undefined;
  const whole = SMALL_INTEGERS.includes(code);
  const width = float ? FLOAT_BYTES[float] : 1;
  if (float || whole) {
    if (!(bytes instanceof Uint8Array) || bytes.length !== count * width)
      throw bad(`[${shape}] of ${shown(code)} in ${bytes instanceof Uint8Array ? bytes.length : 'no'} bytes`);
  }
  const data = bytes as Uint8Array;
  const inOrder = (values: Float32Array) =>
    columnsFirst === true
      ? permuteAxes(
          values,
          shape.toReversed(),
          shape.map((_, axis) => shape.length - 1 - axis),
        )
      : values;
  return {
    name,
    shape,
    dtype: float ?? (code || 'unknown'),
    values: float
      ? () => inOrder(toFloat32(data, float, !big))
      : `its weights are a NumPy array of ${shown(code)}, not float`,
    ...(whole && { integers: () => inOrder(Float32Array.from(code === 'i1' ? new Int8Array(data) : data)) }),
  };
}

const isShape = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MOST_AXES && value.every((n) => Number.isSafeInteger(n) && n >= 0);
