// Hostile files of formats that are JSON or a header of text: TensorFlow.js, safetensors, NumPy.
import fc from 'fast-check';
import { EVIL_INTEGERS, EVIL_NAMES, type HostileModel } from './model.js';
import { joined, number } from './zip.js';

const utf8 = (text: string) => new TextEncoder().encode(text);
export const evilNumber = fc.constantFrom(...EVIL_INTEGERS.map(Number), 0.5, -1, 1e308);
export const evilName = fc.constantFrom(...EVIL_NAMES);
/** Without the lone surrogate, which UTF-8 has no bytes for. */
export const evilText = evilName.filter((name) => name !== '\ud800');
const small = fc.integer({ min: 0, max: 4 });
/** Rarely hostile: a file with one lie in it gets further than a file of lies. */
export const mostly = <T, U>(good: fc.Arbitrary<T>, bad: fc.Arbitrary<U>, weight = 12): fc.Arbitrary<T | U> =>
  fc.oneof({ arbitrary: good, weight }, { arbitrary: bad, weight: 1 });
const anything = fc.oneof(evilNumber, evilName, fc.jsonValue({ maxDepth: 3 }), fc.constant(null));
const dimension = mostly(small, evilNumber);
export const shape = mostly(
  fc.array(dimension, { minLength: 4, maxLength: 4 }),
  fc.array(dimension, { maxLength: 6 }),
);
const payload = fc.uint8Array({ maxLength: 400 });
const product = (dims: readonly unknown[]) => dims.reduce<number>((a, n) => a * (Number(n) || 0), 1);

// ---------------------------------------------------------------- safetensors

const ITEM: Record<string, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
};
const tensor = fc.record({
  name: mostly(fc.constantFrom('a.weight', 'b.weight', 'c/kernel', 'Conv_0.kernel', 'x'), evilName),
  dtype: mostly(fc.constantFrom(...Object.keys(ITEM)), evilName),
  shape,
  skew: mostly(fc.constant(0), evilNumber, 20),
});

export const safetensors: fc.Arbitrary<HostileModel> = fc
  .record({
    tensors: fc.array(tensor, { maxLength: 5 }),
    metadata: fc.option(mostly(fc.dictionary(evilName, fc.string()), anything)),
    header: mostly(fc.constant(undefined), evilNumber, 20),
    tail: mostly(fc.constant(new Uint8Array()), payload),
    extra: mostly(fc.constant(''), fc.constantFrom(' ', '}', '\0', ',"a":{}')),
  })
  .map(({ tensors, metadata, header, tail, extra }) => {
    let end = 0;
    const entries = tensors.map(({ name, dtype, shape: dims, skew }): [string, unknown] => {
      const length = Math.min(product(dims) * (ITEM[dtype] ?? 4), 4096) || 0;
      const offsets = [end + skew, end + length];
      end += Math.max(0, length);
      return [name, { dtype, shape: dims, data_offsets: offsets }];
    });
    if (metadata !== null) entries.unshift(['__metadata__', metadata]);
    const json = utf8(JSON.stringify(Object.fromEntries(entries)) + extra);
    const length = number64(header ?? json.length);
    return { name: 'm.safetensors', bytes: joined(length, json, new Uint8Array(Math.min(end, 65536)), tail) };
  });

function number64(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setBigUint64(0, BigInt.asUintN(64, BigInt(Math.trunc(value))), true);
  return new Uint8Array(bytes.buffer);
}

// ---------------------------------------------------------------- npy

export const npyBytes: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc
  .record({
    version: mostly(fc.constantFrom(1, 2, 3), fc.integer({ min: 0, max: 255 })),
    descr: mostly(
      fc.constantFrom(
        "'<f4'",
        "'>f4'",
        "'<f2'",
        "'<f8'",
        "'>f8'",
        "'|i1'",
        "'<i4'",
        "'|O'",
        "[('a', '<f4')]",
      ),
      evilName.map((name) => JSON.stringify(name)),
    ),
    fortran: mostly(fc.constantFrom('True', 'False'), evilName),
    shape,
    length: mostly(fc.constant(undefined), evilNumber, 20),
    off: mostly(fc.constant(0), fc.integer({ min: -8, max: 64 })),
  })
  .map(({ version, descr, fortran, shape: dims, length, off }) => {
    const text = utf8(`{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': (${dims.join(', ')},), }\n`);
    const width = version === 1 ? 2 : 4;
    const item = Number(/\d/.exec(descr)?.[0] ?? 4);
    const data = new Uint8Array(Math.max(0, Math.min(4096, product(dims) * item || 0) + off)).fill(60);
    const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0);
    return joined(magic, number(Math.abs(length ?? text.length), width), text, data);
  });

export const npy: fc.Arbitrary<HostileModel> = npyBytes.map((bytes) => ({ name: 'm.npy', bytes }));

// ---------------------------------------------------------------- TensorFlow.js

const shardNames = ['group1-shard1of2.bin', 'group1-shard2of2.bin'];
const weightNames = [
  'conv2d/kernel',
  'dw/depthwise_kernel',
  'sep/pointwise_kernel',
  'deconv/kernel',
  'W',
  'Const',
];
const quantization = fc.record(
  {
    dtype: mostly(fc.constantFrom('uint8', 'uint16', 'float16'), anything),
    scale: mostly(fc.constant(0.5), anything),
    min: mostly(fc.constant(-1), anything),
    original_dtype: fc.constant('float32'),
  },
  { requiredKeys: ['dtype'] },
);
const weight = fc.record(
  {
    name: mostly(fc.constantFrom(...weightNames), evilName),
    shape: mostly(shape, anything),
    dtype: mostly(fc.constantFrom('float32', 'float32', 'int32', 'bool', 'string', 'float16'), anything),
    quantization: mostly(quantization, anything),
  },
  { requiredKeys: ['name', 'shape', 'dtype'] },
);
const manifest = fc.array(
  fc.record({
    paths: mostly(fc.array(mostly(fc.constantFrom(...shardNames), evilName), { maxLength: 3 }), anything),
    weights: mostly(fc.array(mostly(weight, anything), { maxLength: 5 }), anything),
  }),
  { maxLength: 3 },
);
const layer = fc.record({
  class_name: mostly(
    fc.constantFrom(
      'Conv2D',
      'DepthwiseConv2D',
      'SeparableConv2D',
      'Conv2DTranspose',
      'Dense',
      'Sequential',
      'Model',
    ),
    anything,
  ),
  config: mostly(
    fc.record({ name: fc.constantFrom('conv2d', 'dw', 'sep', 'deconv'), layers: fc.constant([]) }),
    anything,
  ),
});
const node = fc.record({
  name: mostly(fc.constantFrom(...weightNames, 'conv'), evilName),
  op: mostly(
    fc.constantFrom(
      'Const',
      'Conv2D',
      'DepthwiseConv2dNative',
      'Conv2DBackpropInput',
      '_FusedConv2D',
      'Identity',
      'Transpose',
      'Reshape',
    ),
    evilName,
  ),
  input: mostly(fc.array(fc.constantFrom(...weightNames, '^x', 'conv:0'), { maxLength: 3 }), anything),
  attr: mostly(
    fc.dictionary(fc.constantFrom('strides', 'data_format', 'value', 'T'), fc.jsonValue({ maxDepth: 2 })),
    anything,
  ),
});
const topology = fc.oneof(
  fc.record({
    model_config: fc.record({
      class_name: fc.constant('Sequential'),
      config: fc.record({ layers: fc.array(layer, { maxLength: 5 }) }),
    }),
  }),
  fc.record({
    node: fc.array(mostly(node, anything), { maxLength: 8 }),
    library: anything,
    versions: anything,
  }),
  anything,
);

export const tensorflowJs: fc.Arbitrary<HostileModel> = fc
  .record({
    json: fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record(
          {
            format: mostly(fc.constantFrom('layers-model', 'graph-model'), anything),
            generatedBy: mostly(fc.constant('x'), anything),
            convertedBy: anything,
            modelTopology: topology,
            weightsManifest: mostly(manifest, anything),
          },
          { requiredKeys: ['weightsManifest'] },
        ),
      },
      { weight: 2, arbitrary: manifest },
      { weight: 1, arbitrary: fc.jsonValue() },
    ),
    shards: fc.tuple(payload, payload),
  })
  .map(({ json, shards }) => ({
    name: Array.isArray(json) ? 'weights_manifest.json' : 'model.json',
    bytes: utf8(JSON.stringify(json)),
    siblings: Object.fromEntries(shardNames.map((name, i) => [name, shards[i]])),
  }));
