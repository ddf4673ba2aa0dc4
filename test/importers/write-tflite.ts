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
}

export interface TestSubgraph {
  tensors: TestTensor[];
  operators: TestOperator[];
}

export const bytesOf = (array: Float32Array | Int32Array | Int16Array | Int8Array | Uint16Array) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** @param outside data of buffer 1 put behind the FlatBuffer, as in files over 2 GB */
export function writeTflite(
  subgraphs: TestSubgraph[],
  { description = 'a test', outside }: { description?: string; outside?: Uint8Array } = {},
): Uint8Array {
  const write = (offset: number) =>
    encode(subgraphs, description, outside && { offset, size: outside.length });
  const { length } = write(2 ** 20);
  const bytes = write(length);
  return outside ? Uint8Array.from([...bytes, ...outside]) : bytes;
}

function encode(
  subgraphs: TestSubgraph[],
  description: string,
  outside?: { offset: number; size: number },
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
  if (outside)
    buffers.push(
      table([
        () => builder.addFieldInt64(1, BigInt(outside.offset), 0n),
        () => builder.addFieldInt64(2, BigInt(outside.size), 0n),
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
  const operator = ({ code, inputs, outputs }: TestOperator) => {
    const [from, to, kind] = [integers(inputs), integers(outputs), codeOf(code)];
    return table([at(1, from), at(2, to), () => builder.addFieldInt32(0, kind, 0)]);
  };
  const graphs = subgraphs.map(({ tensors, operators }) => {
    const [values, nodes] = [offsets(tensors.map(tensor)), offsets(operators.map(operator))];
    return table([at(0, values), at(3, nodes)]);
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
  const [all, list, store, text] = [
    offsets(kinds),
    offsets(graphs),
    offsets(buffers),
    builder.createString(description),
  ];
  builder.finish(
    table([() => builder.addFieldInt32(0, 3, 0), at(1, all), at(2, list), at(3, text), at(4, store)]),
    'TFL3',
  );
  return builder.asUint8Array().slice();
}
