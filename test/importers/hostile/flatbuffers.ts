// Hostile TensorFlow Lite models: tables with the schema's slots, and numbers that point elsewhere.
import fc from 'fast-check';
import { Builder } from 'flatbuffers';
import { EVIL_INTEGERS, type HostileModel } from './model.js';
import { evilText, mostly } from './text.js';

const int32 = fc.constantFrom(...EVIL_INTEGERS.map((n) => Number(BigInt.asIntN(32, n))));
const index = mostly(fc.integer({ min: 0, max: 4 }), int32, 20);

const tensor = fc.record({
  shape: mostly(
    fc.array(mostly(fc.integer({ min: 1, max: 4 }), int32, 30), { minLength: 4, maxLength: 4 }),
    fc.array(int32, { maxLength: 6 }),
  ),
  type: mostly(fc.constantFrom(0, 1, 9, 9, 2, 3), fc.integer({ min: -128, max: 127 })),
  buffer: index,
  name: mostly(fc.constantFrom('conv/kernel', 'w', 'x'), evilText),
  scales: fc.array(fc.constantFrom(0.5, 1e-30, 0, -1, Number.NaN, Number.POSITIVE_INFINITY), {
    maxLength: 4,
  }),
  zeros: fc.array(fc.constantFrom(...EVIL_INTEGERS.map((n) => BigInt.asIntN(64, n))), { maxLength: 4 }),
  axis: mostly(fc.integer({ min: 0, max: 3 }), int32),
});
const operator = fc.record({
  opcode: index,
  inputs: fc.array(mostly(fc.integer({ min: -1, max: 4 }), int32, 20), { maxLength: 4 }),
  outputs: fc.array(index, { maxLength: 2 }),
});

export const tensorflowLite: fc.Arbitrary<HostileModel> = fc
  .record({
    codes: fc.array(mostly(fc.constantFrom(3, 4, 67, 6), fc.integer({ min: -1, max: 200 })), {
      maxLength: 5,
    }),
    tensors: fc.array(tensor, { maxLength: 6 }),
    operators: fc.array(operator, { maxLength: 5 }),
    buffers: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
    graphs: fc.integer({ min: 0, max: 3 }),
    description: evilText,
  })
  .map(({ codes, tensors, operators, buffers, graphs, description }) => {
    const b = new Builder(1024);
    const vector = (tables: number[]) => {
      b.startVector(4, tables.length, 4);
      for (const table of [...tables].reverse()) b.addOffset(table);
      return b.endVector();
    };
    const ints = (numbers: readonly number[]) => {
      b.startVector(4, numbers.length, 4);
      for (const value of [...numbers].reverse()) b.addInt32(value);
      return b.endVector();
    };
    /** @param fields [slot, writer]; offsets must have been made before */
    const table = (slots: number, fields: [number, (slot: number) => void][]) => {
      b.startObject(slots);
      for (const [slot, write] of fields) write(slot);
      return b.endObject();
    };
    const offset = (to: number) => (slot: number) => b.addFieldOffset(slot, to, 0);
    const int = (value: number) => (slot: number) => b.addFieldInt32(slot, value, 0);
    const byte = (value: number) => (slot: number) => b.addFieldInt8(slot, value, 0);

    const tensorTables = tensors.map(({ shape, type, buffer, name, scales, zeros, axis }) => {
      b.startVector(4, scales.length, 4);
      for (const scale of [...scales].reverse()) b.addFloat32(scale);
      const scaleVector = b.endVector();
      b.startVector(8, zeros.length, 8);
      for (const zero of [...zeros].reverse()) b.addInt64(zero);
      const zeroVector = b.endVector();
      const quantization = table(7, [
        [2, offset(scaleVector)],
        [3, offset(zeroVector)],
        [6, int(axis)],
      ]);
      const [dims, text] = [ints(shape), b.createString(name)];
      return table(8, [
        [0, offset(dims)],
        [1, byte(type)],
        [2, int(buffer)],
        [3, offset(text)],
        [4, offset(quantization)],
      ]);
    });
    const operatorTables = operators.map(({ opcode, inputs, outputs }) => {
      const [from, to] = [ints(inputs), ints(outputs)];
      return table(5, [
        [0, int(opcode)],
        [1, offset(from)],
        [2, offset(to)],
      ]);
    });
    const subgraphs = Array.from({ length: graphs }, () => {
      const [all, operatorVector] = [vector(tensorTables), vector(operatorTables)];
      return table(5, [
        [0, offset(all)],
        [3, offset(operatorVector)],
      ]);
    });
    const codeTables = codes.map((code) =>
      table(4, [
        [0, byte(code)],
        [3, int(code)],
      ]),
    );
    const bufferTables = buffers.map((content) => {
      const data = b.createByteVector(content);
      return table(3, [[0, offset(data)]]);
    });
    const vectors = [vector(codeTables), vector(subgraphs), vector(bufferTables)];
    const text = b.createString(description);
    const root = table(5, [
      [0, int(3)],
      [1, offset(vectors[0])],
      [2, offset(vectors[1])],
      [3, offset(text)],
      [4, offset(vectors[2])],
    ]);
    b.finish(root, 'TFL3');
    return { name: 'm.tflite', bytes: b.asUint8Array().slice() };
  });
