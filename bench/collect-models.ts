// A gigabyte of ONNX models of well-known shapes with random weights, for measuring dwp collect-kernels.
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType,
  TensorProtoSchema,
} from 'onnx-buf';
import { foldIn, RandomStream, seedKey } from '../src/engine/index.js';

/** [out, in of a group, h, w] of a convolution with its groups, or [in, out] of a dense layer. */
interface Layer {
  shape: number[];
  groups?: number;
}

const conv = (out: number, inputs: number, k: number, groups?: number): Layer => ({
  shape: [out, inputs, k, k],
  groups,
});

/** [blocks, channels] of each stage. */
const STAGES = {
  18: [2, 2, 2, 2],
  50: [3, 4, 6, 3],
};

function resnet(depth: keyof typeof STAGES): Layer[] {
  const layers = [conv(64, 3, 7)];
  let from = 64;
  for (const [stage, blocks] of STAGES[depth].entries()) {
    const width = 64 * 2 ** stage;
    for (let block = 0; block < blocks; block++) {
      const out = depth === 50 ? 4 * width : width;
      if (depth === 50) layers.push(conv(width, from, 1), conv(width, width, 3), conv(out, width, 1));
      else layers.push(conv(width, from, 3), conv(width, width, 3));
      if (block === 0 && from !== out) layers.push(conv(out, from, 1));
      from = out;
    }
  }
  return [...layers, { shape: [from, 1000] }];
}

function vgg16(): Layer[] {
  const layers: Layer[] = [];
  let from = 3;
  for (const width of [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]) {
    layers.push(conv(width, from, 3));
    from = width;
  }
  return [...layers, { shape: [25088, 4096] }, { shape: [4096, 4096] }, { shape: [4096, 1000] }];
}

function mobilenet(): Layer[] {
  const layers = [conv(32, 3, 3)];
  let from = 32;
  for (const width of [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]) {
    layers.push(conv(from, 1, 3, from), conv(width, from, 1));
    from = width;
  }
  return [...layers, { shape: [1024, 1000] }];
}

/** 1.03 GB in ten files. */
const MODELS: readonly (readonly [string, Layer[]])[] = [
  ...Array.from({ length: 4 }, (_, i) => [`resnet18-${i}`, resnet(18)] as const),
  ...Array.from({ length: 3 }, (_, i) => [`resnet50-${i}`, resnet(50)] as const),
  ['vgg16', vgg16()],
  ...Array.from({ length: 2 }, (_, i) => [`mobilenet-${i}`, mobilenet()] as const),
];

/** Writes all models. @returns their bytes together */
export function writeModels(folder: string): number {
  return MODELS.reduce(
    (bytes, [name, layers]) => bytes + writeModel(join(folder, `${name}.onnx`), name, layers),
    0,
  );
}

/** One convolution of so many kernels of 3×3, to see what a tensor alone takes. @returns bytes */
export const writeLargeModel = (folder: string, kernels: number): number =>
  writeModel(join(folder, 'large.onnx'), 'large', [conv(kernels / 1024, 1024, 3)]);

/** Piece by piece: the encoded fields of a message are its encoding, in whatever pieces they come. */
function writeModel(file: string, name: string, layers: readonly Layer[]): number {
  const nodes = layers.map(({ groups }, i) => {
    const attribute = groups
      ? [
          create(AttributeProtoSchema, {
            name: 'group',
            type: AttributeProto_AttributeType.INT,
            i: BigInt(groups),
          }),
        ]
      : [];
    const opType = layers[i].shape.length === 4 ? 'Conv' : 'MatMul';
    const node = { name: `layer${i}`, opType, input: [`x${i}`, `w${i}`], output: [`x${i + 1}`], attribute };
    return field(1, toBinary(NodeProtoSchema, create(NodeProtoSchema, node)));
  });
  const heads = layers.map(({ shape }, i) => {
    const tensor = { name: `w${i}`, dims: shape.map(BigInt), dataType: TensorProto_DataType.FLOAT };
    return toBinary(TensorProtoSchema, create(TensorProtoSchema, tensor));
  });
  const sizes = layers.map(({ shape }) => 4 * shape.reduce((a, b) => a * b));
  const tensors = heads.map((head, i) => {
    const raw = tag(9, sizes[i]);
    return [tag(5, head.length + raw.length + sizes[i]), head, raw];
  });
  const length = (parts: readonly Uint8Array[]) => parts.reduce((sum, { length }) => sum + length, 0);
  const graph = length(nodes) + length(tensors.flat()) + sizes.reduce((a, b) => a + b);
  const handle = openSync(file, 'w');
  let written = 0;
  const write = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
    written += bytes.length;
  };
  write(Uint8Array.of(0x08, 8)); // ir_version
  write(tag(7, graph));
  nodes.forEach(write);
  for (const [i, parts] of tensors.entries()) {
    parts.forEach(write);
    const random = new RandomStream(foldIn(seedKey(1), name, i));
    for (let left = sizes[i] / 4; left > 0; ) {
      const values = random.fillNormal(new Float32Array(Math.min(left, 2 ** 20)));
      write(new Uint8Array(values.buffer));
      left -= values.length;
    }
  }
  write(field(8, Uint8Array.of(0x10, 17))); // opset_import { version: 17 }
  closeSync(handle);
  return written;
}

const field = (number: number, bytes: Uint8Array) => Buffer.concat([tag(number, bytes.length), bytes]);

/** What stands before a field of bytes: its number, and their length as a varint. */
function tag(number: number, length: number): Uint8Array {
  const bytes = [number * 8 + 2];
  let rest = length;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.from([...bytes, rest]);
}
