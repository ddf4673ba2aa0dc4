// Hostile ONNX models: messages of the right schema with contents that do not fit, and messages inside messages.
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  type AttributeProto,
  AttributeProtoSchema,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from 'onnx-buf';
import { EVIL_INTEGERS, type HostileModel } from './model.js';
import { evilText, mostly } from './text.js';
import { joined } from './zip.js';

const int64 = fc.constantFrom(...EVIL_INTEGERS.map((n) => BigInt.asIntN(64, n)));
const smallInt = fc.bigInt({ min: 0n, max: 4n });
const dims = mostly(
  fc.array(mostly(smallInt, int64), { minLength: 4, maxLength: 4 }),
  fc.array(mostly(smallInt, int64), { maxLength: 6 }),
);
/** Few names, so that values meet, shadow each other and go round in circles. */
const value = mostly(fc.constantFrom('x', 'w', 'v', 's', 'z', ''), evilText, 30);

const tensor: fc.Arbitrary<TensorProto> = fc
  .record({
    name: value,
    dims,
    dataType: mostly(
      fc.constantFrom(1, 1, 1, 2, 3, 5, 6, 7, 10, 11, 16, 17, 21, 22),
      fc.integer({ min: -1, max: 99 }),
    ),
    fill: fc.constantFrom('raw', 'raw', 'raw', 'typed', 'none', 'external', 'junk'),
    off: mostly(fc.constant(0), fc.integer({ min: -9, max: 9 })),
    external: fc.record({
      location: mostly(fc.constantFrom('w.bin', 'm.onnx'), evilText),
      offset: mostly(fc.constantFrom('0', '4', '16'), fc.oneof(evilText, int64.map(String))),
      length: mostly(fc.constantFrom('36', '64'), fc.oneof(evilText, int64.map(String))),
    }),
  })
  .map(({ fill, off, external, ...fields }) => {
    const count =
      Math.max(
        0,
        Math.min(
          512,
          fields.dims.reduce((a, n) => a * Number(n), 1),
        ) + off,
      ) || 0;
    const width = ({ 1: 4, 6: 4, 7: 8, 10: 2, 11: 8, 16: 2 } as Record<number, number>)[fields.dataType] ?? 1;
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    return create(TensorProtoSchema, {
      ...fields,
      ...(fill === 'raw' && { rawData: new Uint8Array(count * width).fill(61) }),
      ...(fill === 'typed' && {
        floatData: numbers,
        int32Data: numbers,
        int64Data: numbers.map(BigInt),
        doubleData: numbers,
      }),
      ...(fill === 'external' && {
        dataLocation: 1,
        externalData: Object.entries(external).map(([key, text]) =>
          create(StringStringEntryProtoSchema, { key, value: text }),
        ),
      }),
      ...(fill === 'junk' && { segment: { begin: -1n, end: 1n }, stringData: [new Uint8Array(3)] }),
    });
  });

const OPS = [
  ...[
    'Conv',
    'Conv',
    'Conv',
    'ConvTranspose',
    'Constant',
    'Identity',
    'Transpose',
    'Reshape',
    'Cast',
    'If',
    'Loop',
  ],
  ...['QLinearConv', 'ConvInteger', 'DequantizeLinear', 'QuantizeLinear', 'BatchNormalization', 'Scan', 'f'],
  ...[
    'Squeeze',
    'Unsqueeze',
    'Mul',
    'ConstantOfShape',
    'Flatten',
    'Slice',
    'Concat',
    'DynamicQuantizeLinear',
  ],
];
const ATTRIBUTES = [
  ...[
    'group',
    'perm',
    'value',
    'axis',
    'to',
    'epsilon',
    'then_branch',
    'body',
    'block_size',
    'axes',
    'shape',
  ],
  ...['value_float', 'value_floats', 'value_ints', 'sparse_value', 'kernel_shape', 'strides'],
];

const { graph } = fc.letrec<{ graph: GraphProto; node: NodeProto; attribute: AttributeProto }>((tie) => ({
  attribute: fc
    .record(
      {
        name: mostly(fc.constantFrom(...ATTRIBUTES), evilText),
        i: mostly(smallInt, int64),
        f: fc.float(),
        ints: mostly(
          fc.constantFrom<bigint[]>([3n, 2n, 0n, 1n], [0n, 1n, 2n, 3n]),
          fc.array(int64, { maxLength: 5 }),
          4,
        ),
        t: tensor,
        g: fc.option(tie('graph'), { nil: undefined, depthSize: 'small', maxDepth: 6 }),
        type: fc.integer({ min: 0, max: 14 }),
      },
      { requiredKeys: ['name'] },
    )
    .map((fields) => create(AttributeProtoSchema, fields)),
  node: fc
    .record({
      opType: mostly(fc.constantFrom(...OPS), evilText, 30),
      domain: mostly(fc.constant(''), fc.constantFrom('d', 'com.microsoft')),
      name: mostly(fc.constantFrom('n', ''), evilText),
      input: fc.array(value, { maxLength: 6 }),
      output: fc.array(value, { maxLength: 2 }),
      attribute: fc.array(tie('attribute'), { maxLength: 2 }),
    })
    .map((fields) => create(NodeProtoSchema, fields)),
  graph: fc
    .record({
      name: value,
      node: fc.array(tie('node'), { maxLength: 6 }),
      initializer: fc.array(tensor, { maxLength: 4 }),
    })
    .map((fields) => create(GraphProtoSchema, fields)),
}));

/** Messages of protobuf's wire format without a schema, deep or wide. */
const wire: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc
  .record({
    fields: fc.array(fc.constantFrom(7, 1, 5, 6, 15, 20), { minLength: 1, maxLength: 4 }),
    depth: fc.integer({ min: 1, max: 2000 }),
    core: fc.uint8Array({ maxLength: 20 }),
  })
  .map(({ fields, depth, core }) => {
    let bytes = new Uint8Array(core);
    for (let level = 0; level < depth; level++)
      bytes = joined(varint((fields[level % fields.length] << 3) | 2), varint(bytes.length), bytes);
    return joined(Uint8Array.of(8, 8, 18, 1, 65), bytes);
  });

export function varint(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Uint8Array.of(...bytes, value);
}

export const onnx: fc.Arbitrary<HostileModel> = fc
  .oneof(
    {
      weight: 12,
      arbitrary: fc
        .record({
          graph,
          producerName: evilText,
          functions: fc.array(
            fc.record({
              name: fc.constantFrom('f', 'g'),
              domain: fc.constantFrom('', 'd'),
              node: graph.map((g) => g.node),
            }),
            { maxLength: 2 },
          ),
          licence: evilText,
        })
        .map(({ functions, licence, ...model }) =>
          encode(model.graph, functions, model.producerName, licence),
        ),
    },
    { weight: 1, arbitrary: wire },
  )
  .map((bytes) => ({ name: 'm.onnx', bytes, siblings: { 'w.bin': new Uint8Array(256).fill(62) } }));

function encode(
  graph: GraphProto,
  functions: { name: string; domain: string; node: NodeProto[] }[],
  producerName: string,
  licence: string,
): Uint8Array<ArrayBuffer> {
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    producerName,
    graph,
    functions: functions.map((fields) => create(FunctionProtoSchema, fields)),
    metadataProps: [create(StringStringEntryProtoSchema, { key: 'license', value: licence })],
  });
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}
