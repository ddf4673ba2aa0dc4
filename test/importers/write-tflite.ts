// TensorFlow Lite models made by tests, with the FlatBuffers library.
import { Builder } from 'flatbuffers';

export interface TestTensor {
  name?: string;
  shape: number[];
  /** Number of TensorType: 0 float32, 1 float16, 2 int32, 3 uint8, 7 int16, 9 int8, 17 int4 */
  type?: number;
  /** A buffer of its own, or the number of one that exists; without it the tensor is computed. */
  data?: Uint8Array | number;
  scale?: number[];
  zeroPoint?: number[];
  dimension?: number;
  sparse?: boolean;
}

export interface TestOperator {
  /** A number of BuiltinOperator, or the name of a custom one. */
  code: number | string;
  inputs: number[];
  outputs: number[];
  /** Field of the options that holds the activation, and its number. */
  activation?: [field: number, value: number];
}

export interface TestSubgraph {
  tensors: TestTensor[];
  operators: TestOperator[];
  /** Tensors that the graph returns. */
  outputs?: number[];
}

export const bytesOf = (array: Float32Array | Int32Array | Int16Array | Int8Array | Uint16Array) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

interface Extras {
  description?: string;
  /** Put behind the FlatBuffer, as in files over 2 GB; each range [start, length] of it is a buffer, from number 1. */
  outside?: { data: Uint8Array; ranges: [number, number][] };
  /** A licence in the metadata of the kind that TensorFlow's tools write. */
  licence?: string;
}

export function writeTflite(subgraphs: TestSubgraph[], extras: Extras = {}): Uint8Array {
  const { length } = encode(subgraphs, extras, 2 ** 20);
  const bytes = encode(subgraphs, extras, length);
  return Uint8Array.from([...bytes, ...(extras.outside?.data ?? [])]);
}

/** @param length of the FlatBuffer itself, for what is behind it */
function encode(
  subgraphs: TestSubgraph[],
  { description = 'a test', outside, licence }: Extras,
  length: number,
): Uint8Array {
  const builder = new Builder(1024);
  const offsets = (items: number[]) => {
    builder.startVector(4, items.length, 4);
    for (const item of [...items].reverse()) builder.addOffset(item);
    return builder.endVector();
  };
  const numbers = (items: number[], width: 4 | 8, add: (item: number) => void) => {
    builder.startVector(width, items.length, width);
    for (const item of [...items].reverse()) add(item);
    return builder.endVector();
  };
  const integers = (items: number[]) => numbers(items, 4, (item) => builder.addInt32(item));
  const table = (fields: (() => void)[], size = 8) => {
    builder.startObject(size);
    for (const field of fields) field();
    return builder.endObject();
  };
  const at = (field: number, offset: number) => () => builder.addFieldOffset(field, offset, 0);

  const buffers: number[] = [table([])]; // number 0 is empty
  for (const [start, size] of outside?.ranges ?? [])
    buffers.push(
      table([
        () => builder.addFieldInt64(1, BigInt(length + start), 0n),
        () => builder.addFieldInt64(2, BigInt(size), 0n),
      ]),
    );
  const bufferOf = (data: Uint8Array) => {
    buffers.push(table([at(0, builder.createByteVector(data))]));
    return buffers.length - 1;
  };
  const codes: (number | string)[] = [];
  const codeOf = (code: number | string) => {
    if (!codes.includes(code)) codes.push(code);
    return codes.indexOf(code);
  };

  const tensor = ({ name = '', shape, type = 0, data, scale, zeroPoint, dimension, sparse }: TestTensor) => {
    const buffer = typeof data === 'number' ? data : data ? bufferOf(data) : 0;
    const title = builder.createString(name);
    const sizes = integers(shape);
    const fields = [at(0, sizes), at(3, title), () => builder.addFieldInt8(1, type, 0)];
    fields.push(() => builder.addFieldInt32(2, buffer, 0));
    if (scale) {
      const scales = numbers(scale, 4, (item) => builder.addFloat32(item));
      const zeros = numbers(zeroPoint ?? [], 8, (item) => builder.addInt64(BigInt(item)));
      const fields2 = [at(2, scales), at(3, zeros), () => builder.addFieldInt32(6, dimension ?? 0, 0)];
      fields.push(at(4, table(fields2)));
    }
    if (sparse) fields.push(at(6, table([])));
    return table(fields);
  };
  const operator = ({ code, inputs, outputs, activation }: TestOperator) => {
    const [from, to, kind] = [integers(inputs), integers(outputs), codeOf(code)];
    const fields = [at(1, from), at(2, to), () => builder.addFieldInt32(0, kind, 0)];
    if (activation) fields.push(at(4, table([() => builder.addFieldInt8(...activation, 0)])));
    return table(fields);
  };
  const graphs = subgraphs.map(({ tensors, operators, outputs = [] }) => {
    const [values, nodes] = [offsets(tensors.map(tensor)), offsets(operators.map(operator))];
    const results = integers(outputs);
    return table([at(0, values), at(2, results), at(3, nodes)]);
  });
  const kinds = codes.map((code) => {
    if (typeof code === 'number')
      return table([
        () => builder.addFieldInt8(0, Math.min(code, 127), 0),
        () => builder.addFieldInt32(3, code, 0),
      ]);
    const name = builder.createString(code);
    return table([at(1, name), () => builder.addFieldInt8(0, 32, 0)]);
  });
  const metadata: number[] = [];
  if (licence !== undefined) {
    const [buffer, name] = [bufferOf(encodeLicence(licence)), builder.createString('TFLITE_METADATA')];
    metadata.push(table([at(0, name), () => builder.addFieldInt32(1, buffer, 0)]));
  }
  const all = [offsets(kinds), offsets(graphs), builder.createString(description), offsets(buffers)];
  const known = offsets(metadata);
  const fields = all.map((offset, i) => at(i + 1, offset));
  builder.finish(table([() => builder.addFieldInt32(0, 3, 0), ...fields, at(6, known)]), 'TFL3');
  return builder.asUint8Array().slice();
}

function encodeLicence(licence: string): Uint8Array {
  const builder = new Builder(64);
  const text = builder.createString(licence);
  builder.startObject(8);
  builder.addFieldOffset(5, text, 0);
  builder.finish(builder.endObject(), 'M001');
  return builder.asUint8Array().slice();
}
