// A graph → the bytes of an ONNX model.
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { type Attribute, type ConstantData, type Graph, type Node, ONNX_TYPE, type Value } from './graph.js';
import { sizeOf } from './tree.js';

export const OPSET = 20;
const IR_VERSION = 9;

/** Of a node in the encoded model, by its first output. */
export const nodeName = ({ outputs: [{ id }] }: Node): string => `node${id}`;

/** Only what the outputs need, in order of execution. */
export function liveNodes(graph: Graph, outputs: readonly Value[]): Node[] {
  const needed = new Set<Node>();
  const pending = outputs.flatMap((v) => v.node ?? []);
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (needed.has(node)) continue;
    needed.add(node);
    for (const input of node.inputs) if (input?.node) pending.push(input.node);
  }
  return graph.nodes.filter((node) => needed.has(node));
}

/**
 * @param outputs named values; a value may be named twice, and may be an input or a constant
 *   A dimension of −1 in the shape of an input or output is the first free dimension, −2 the second, …
 * @param free names of the free dimensions
 * @returns an ONNX model of opset {@link OPSET}, with every constant as an initializer
 */
export function encodeOnnx(
  graph: Graph,
  outputs: readonly (readonly [name: string, value: Value])[],
  graphName = 'step',
  free: readonly string[] = ['batch'],
): Uint8Array {
  const nodes = liveNodes(
    graph,
    outputs.map(([, value]) => value),
  );
  const initializers = new Map<number, Value>();
  // The result of a node is an output itself; only one that is asked for twice, an input or a constant is copied.
  const outputName = new Map<Value, string>();
  for (const [name, value] of outputs) if (value.node && !outputName.has(value)) outputName.set(value, name);
  const nameOf = (value: Value | undefined): string => {
    if (!value) return '';
    const output = outputName.get(value);
    if (output !== undefined) return output;
    if (value.input !== undefined) return value.input;
    if (value.constant || value.uniform !== undefined) initializers.set(value.id, value);
    return `v${value.id}`;
  };
  const used = new Set(nodes.flatMap((node) => node.inputs).concat(outputs.map(([, value]) => value)));
  const nodeProtos = nodes.map((node) =>
    create(NodeProtoSchema, {
      name: nodeName(node),
      ...operatorOf(node),
      input: node.inputs.map(nameOf),
      output: node.outputs.slice(0, outputsToName(node, used)).map(nameOf),
      attribute: Object.entries(node.attributes).map(([name, value]) => attribute(name, value)),
    }),
  );
  for (const [name, value] of outputs)
    if (outputName.get(value) !== name)
      nodeProtos.push(
        create(NodeProtoSchema, { opType: 'Identity', input: [nameOf(value)], output: [name] }),
      );

  const model = create(ModelProtoSchema, {
    irVersion: BigInt(IR_VERSION),
    producerName: 'deep-weight-prior',
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(OPSET) }),
      ...[...new Set(nodes.map((node) => operatorOf(node).domain))]
        .filter((domain) => domain !== '')
        .map((domain) => create(OperatorSetIdProtoSchema, { domain, version: 1n })),
    ],
    graph: create(GraphProtoSchema, {
      name: graphName,
      node: nodeProtos,
      input: graph.inputs.map((value) => valueInfo(value.input!, value, free)),
      output: outputs.map(([name, value]) => valueInfo(name, value, free)),
      initializer: [...initializers.values()].map((value) =>
        create(TensorProtoSchema, {
          name: `v${value.id}`,
          dims: value.shape.map(BigInt),
          dataType: ONNX_TYPE[value.dtype],
          rawData: bytesOf(value.constant ?? uniformData(value)),
        }),
      ),
    }),
  });
  return toBinary(ModelProtoSchema, model);
}

/** `Conv` is ONNX's; `com.microsoft.nchwc:Conv` is of another domain. */
function operatorOf({ op }: Node): { domain: string; opType: string } {
  const colon = op.indexOf(':');
  return { domain: op.slice(0, Math.max(colon, 0)), opType: op.slice(colon + 1) };
}

/** A pool without its indices is faster: they are not asked for where nobody uses them. Others give all they have. */
const outputsToName = ({ op, outputs }: Node, used: ReadonlySet<Value | undefined>): number =>
  op === 'MaxPool' && !used.has(outputs[1]) ? 1 : outputs.length;

function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'string')
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if ('float' in value)
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.FLOAT,
      f: (value as { float: number }).float,
    });
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.INTS,
    ints: (value as readonly number[]).map(BigInt),
  });
}

const valueInfo = (name: string, { shape, dtype }: Value, free: readonly string[]) =>
  create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType: ONNX_TYPE[dtype],
          shape: {
            dim: shape.map((n) => ({
              value:
                n < 0
                  ? { case: 'dimParam' as const, value: free[-1 - n] }
                  : { case: 'dimValue' as const, value: BigInt(n) },
            })),
          },
        },
      },
    },
  });

function uniformData({ shape, dtype, uniform }: Value): ConstantData {
  const size = sizeOf(shape);
  if (dtype === 'float32') return new Float32Array(size).fill(uniform!);
  if (dtype === 'int32') return new Int32Array(size).fill(uniform!);
  if (dtype === 'int64') return new BigInt64Array(size).fill(BigInt(uniform!));
  return new Uint8Array(size).fill(uniform!);
}

const bytesOf = (data: ConstantData) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as Uint8Array<ArrayBuffer>;
