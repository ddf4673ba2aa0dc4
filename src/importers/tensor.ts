// ONNX tensors → numbers: raw or typed storage, every float type, sizes checked against what the file holds.
import { type TensorProto, TensorProto_DataLocation, TensorProto_DataType } from 'onnx-buf';
import { inputError } from '../errors.js';
import { halfToFloat } from '../formats/floats.js';
import { shown } from '../formats/source.js';

export interface FloatTensor {
  shape: number[];
  data: Float32Array;
  dtype: string;
}

const FLOATS: Partial<Record<TensorProto_DataType, { dtype: string; bytes: number }>> = {
  [TensorProto_DataType.FLOAT]: { dtype: 'float32', bytes: 4 },
  [TensorProto_DataType.FLOAT16]: { dtype: 'float16', bytes: 2 },
  [TensorProto_DataType.BFLOAT16]: { dtype: 'bfloat16', bytes: 2 },
  [TensorProto_DataType.DOUBLE]: { dtype: 'float64', bytes: 8 },
};

const bits = new DataView(new ArrayBuffer(4));
const bfloatToFloat = (half: number) => {
  bits.setUint32(0, (half & 0xffff) << 16);
  return bits.getFloat32(0);
};

/** Dimensions as numbers. @throws DwpError INPUT when one is negative or their product is not a safe integer. */
export function tensorShape(tensor: TensorProto, path: string): number[] {
  const shape = tensor.dims.map(Number);
  const count = shape.reduce((a, b) => a * b, 1);
  if (shape.some((n) => n < 0) || !Number.isSafeInteger(count))
    throw damaged(path, tensor, `impossible shape [${shape}]`);
  return shape;
}

/**
 * @returns the tensor, or the reason why it cannot be had here (a type that is not float, data in another file)
 * @throws DwpError INPUT when the stored data does not fit the shape
 */
export function readFloatTensor(tensor: TensorProto, path: string): FloatTensor | string {
  if (tensor.dataLocation === TensorProto_DataLocation.EXTERNAL || tensor.externalData.length > 0)
    return 'its weights are stored outside the file (external data), which is not read';
  if (tensor.segment) return 'its weights are stored in segments, which are not read';
  const type = FLOATS[tensor.dataType as TensorProto_DataType];
  if (!type)
    return `its weights are ${TensorProto_DataType[tensor.dataType]?.toLowerCase() ?? `of type ${tensor.dataType}`}, not float`;
  const shape = tensorShape(tensor, path);
  const count = shape.reduce((a, b) => a * b, 1);
  const data =
    tensor.rawData.length > 0
      ? fromRaw(tensor, type, count, path)
      : fromTyped(tensor, type.dtype, count, path);
  return { shape, data, dtype: type.dtype };
}

/** Whole numbers of a small int64 tensor (the target of a Reshape), or undefined when it is something else. */
export function readIntegers(tensor: TensorProto): number[] | undefined {
  if (tensor.dataType !== TensorProto_DataType.INT64) return undefined;
  if (tensor.rawData.length === 0) return tensor.int64Data.map(Number);
  if (tensor.rawData.length % 8 !== 0) return undefined;
  const view = viewOf(tensor.rawData);
  return Array.from({ length: tensor.rawData.length / 8 }, (_, i) => Number(view.getBigInt64(8 * i, true)));
}

function fromRaw(
  tensor: TensorProto,
  { dtype, bytes }: { dtype: string; bytes: number },
  count: number,
  path: string,
): Float32Array {
  const raw = tensor.rawData;
  if (raw.length !== count * bytes)
    throw damaged(path, tensor, `${raw.length} bytes for ${count} values of ${bytes} bytes`);
  if (dtype === 'float32') {
    if (raw.byteOffset % 4 === 0) return new Float32Array(raw.buffer, raw.byteOffset, count);
    return new Float32Array(new Uint8Array(raw).buffer); // protobuf aligns nothing: the one copy
  }
  const view = viewOf(raw);
  const read: (at: number) => number =
    dtype === 'float64'
      ? (at) => view.getFloat64(at, true)
      : dtype === 'float16'
        ? (at) => halfToFloat(view.getUint16(at, true))
        : (at) => bfloatToFloat(view.getUint16(at, true));
  const data = new Float32Array(count);
  for (let i = 0; i < count; i++) data[i] = read(i * bytes);
  return data;
}

function fromTyped(tensor: TensorProto, dtype: string, count: number, path: string): Float32Array {
  const stored =
    dtype === 'float32' ? tensor.floatData : dtype === 'float64' ? tensor.doubleData : tensor.int32Data;
  if (stored.length !== count) throw damaged(path, tensor, `${stored.length} values for ${count}`);
  if (dtype === 'float16') return Float32Array.from(stored, (half) => halfToFloat(half & 0xffff));
  if (dtype === 'bfloat16') return Float32Array.from(stored, bfloatToFloat);
  return Float32Array.from(stored);
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const damaged = (path: string, tensor: TensorProto, why: string) =>
  inputError(`${path}: tensor ${shown(tensor.name)} is damaged: ${why}`, 'fetch or export the model again');
