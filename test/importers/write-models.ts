// Small models made by the tests themselves: ONNX with onnx-buf, HDF5 with the real library.
import { create, toBinary } from '@bufbuild/protobuf';
import * as h5 from 'h5wasm';
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
} from 'onnx-buf';

const { FLOAT, FLOAT16, INT64 } = TensorProto_DataType;

/** 0, 1, 2, … scaled: every slice differs from every other and from its own mirror image. */
export const ramp = (shape: readonly number[], scale = 1) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i + 1) * scale);

const dims = (shape: readonly number[]) => shape.map(BigInt);

export const rawFloats = (name: string, shape: readonly number[], data: Float32Array): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: dims(shape),
    dataType: FLOAT,
    rawData: new Uint8Array(data.slice().buffer),
  });

export const typedFloats = (name: string, shape: readonly number[], data: Float32Array): TensorProto =>
  create(TensorProtoSchema, { name, dims: dims(shape), dataType: FLOAT, floatData: [...data] });

export const rawHalves = (name: string, shape: readonly number[], halves: readonly number[]): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: dims(shape),
    dataType: FLOAT16,
    rawData: new Uint8Array(Uint16Array.from(halves).buffer),
  });

export const typedHalves = (name: string, shape: readonly number[], halves: readonly number[]): TensorProto =>
  create(TensorProtoSchema, { name, dims: dims(shape), dataType: FLOAT16, int32Data: [...halves] });

export const int64s = (name: string, values: readonly number[]): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: [BigInt(values.length)],
    dataType: INT64,
    int64Data: values.map(BigInt),
  });

type Attribute = number | number[] | string | { float: number } | TensorProto;

function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) });
  if (Array.isArray(value))
    return create(AttributeProtoSchema, {
      name,
      type: AttributeProto_AttributeType.INTS,
      ints: value.map(BigInt),
    });
  if (typeof value === 'string')
    return create(AttributeProtoSchema, {
      name,
      type: AttributeProto_AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  if ('float' in value)
    return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.TENSOR, t: value });
}

export const node = (
  opType: string,
  input: string[],
  output: string | string[],
  attributes: Record<string, Attribute> = {},
): NodeProto =>
  create(NodeProtoSchema, {
    opType,
    name: `${[output].flat()[0]}-node`,
    input,
    output: [output].flat(),
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  });

export const onnxModel = (nodes: NodeProto[], initializer: TensorProto[] = []): Uint8Array =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: 'tests',
      graph: create(GraphProtoSchema, { name: 'g', node: nodes, initializer }),
    }),
  );

/** One Conv of raw float32 weights. */
export const convModel = (
  shape: readonly number[],
  data: Float32Array = ramp(shape),
  group = 1,
): Uint8Array => onnxModel([node('Conv', ['x', 'w'], 'y', { group })], [rawFloats('w', shape, data)]);

let files = 0;

/** Bytes of an HDF5 file that `fill` has written. */
export async function hdf5File(fill: (file: h5.File) => void): Promise<Uint8Array> {
  const { FS } = await h5.ready;
  const name = `/written-${files++}.h5`;
  const file = new h5.File(name, 'w');
  fill(file);
  file.close();
  const bytes = FS.readFile(name) as Uint8Array;
  FS.unlink(name);
  return bytes;
}

/** A group for every part of the path but the last, and the dataset. */
export function writeWeight(
  file: h5.File,
  path: string,
  shape: number[],
  data: Float32Array = ramp(shape),
): void {
  const parts = path.split('/');
  let group: h5.Group = file;
  for (const part of parts.slice(0, -1))
    group = group.keys().includes(part) ? (group.get(part) as h5.Group) : group.create_group(part);
  group.create_dataset({ name: parts.at(-1)!, data, shape });
}
