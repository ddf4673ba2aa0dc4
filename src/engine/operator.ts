// One ONNX operator of somebody's graph on arrays that are there: what constant parts of a model are computed with.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
} from 'onnx-buf';
import { messageOf } from '../errors.js';
import { ARRAYS, type EngineArray } from './arrays.js';
import { onnxruntime } from './onnxruntime.js';

export type { EngineArray } from './arrays.js';

export interface Operator {
  /** Of the standard operators. */
  type: string;
  /** Version of the standard operators. */
  opset: number;
  /** The bytes of an AttributeProto, or a tensor; by name. Neither graphs nor references to other files. */
  attributes: ReadonlyMap<string, Uint8Array | EngineArray>;
  outputs: number;
}

const DATA_TYPE: Readonly<Record<EngineArray['type'], DataType>> = {
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  float16: DataType.FLOAT16,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
  uint16: DataType.UINT16,
  int16: DataType.INT16,
  int32: DataType.INT32,
  uint32: DataType.UINT32,
  int64: DataType.INT64,
  uint64: DataType.UINT64,
  bool: DataType.BOOL,
};

const IR_VERSION = 8n;
/** Sessions that are kept: the layers of a model repeat the same few operators. */
const MOST_KEPT = 64;

type Session = Awaited<ReturnType<Awaited<ReturnType<typeof onnxruntime>>['InferenceSession']['create']>>;

/** Runs operators by onnxruntime, in one thread; release it at the end. */
export class OperatorRunner {
  private readonly sessions = new Map<string, Session>();

  /**
   * @param inputs undefined: an optional one that is left out
   * @returns the outputs
   * @throws Error of onnxruntime: the operator is not known, or does not take such inputs
   */
  async run(operator: Operator, inputs: readonly (EngineArray | undefined)[]): Promise<EngineArray[]> {
    const { Tensor } = await onnxruntime();
    const session = await this.session(operator, inputs);
    const feeds = inputs.flatMap((array, i) =>
      array ? [[`x${i}`, new Tensor(array.type, array.data as never, array.shape)] as const] : [],
    );
    const results = await session.run(Object.fromEntries(feeds));
    return Array.from({ length: operator.outputs }, (_, i) => {
      const { type, dims, data } = results[`y${i}`];
      if (!(type in ARRAYS)) throw new Error(`a result of ${type}`);
      const array = ARRAYS[type as EngineArray['type']];
      const { buffer, byteOffset, byteLength } = data as Uint8Array<ArrayBuffer>;
      const items = byteLength / array.BYTES_PER_ELEMENT; // of float16 newer systems have arrays of their own
      return { type: type as EngineArray['type'], shape: dims, data: new array(buffer, byteOffset, items) };
    });
  }

  async release(): Promise<void> {
    const sessions = [...this.sessions.values()];
    this.sessions.clear();
    for (const session of sessions) await session.release();
  }

  private async session(operator: Operator, inputs: readonly (EngineArray | undefined)[]): Promise<Session> {
    const model = encodeOperator(operator, inputs);
    const key = Buffer.from(model).toString('latin1');
    let session = this.sessions.get(key);
    if (!session) {
      if (this.sessions.size === MOST_KEPT) await this.release();
      const { InferenceSession } = await onnxruntime();
      session = await InferenceSession.create(model, {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'basic', // which only inserts casts where a type has no implementation
        enableCpuMemArena: false,
        logSeverityLevel: 4,
      });
      this.sessions.set(key, session);
    }
    return session;
  }
}

/** A model of the one operator, for inputs of any lengths but of the number of axes that they have. */
function encodeOperator(
  { type, opset, attributes, outputs }: Operator,
  inputs: readonly (EngineArray | undefined)[],
): Uint8Array {
  const attribute = [...attributes].map(([name, value]) => {
    if (!(value instanceof Uint8Array))
      return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: tensorProto(value) });
    let attribute: AttributeProto;
    try {
      attribute = fromBinary(AttributeProtoSchema, value);
    } catch (error) {
      throw new Error(`its attribute ${name} cannot be read (${messageOf(error)})`);
    }
    return Object.assign(attribute, { name, type: typeOf(attribute), refAttrName: '' });
  });
  const dims = (shape: readonly number[], name: string) =>
    shape.map((_, axis) => ({ value: { case: 'dimParam' as const, value: `${name}_${axis}` } }));
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: BigInt(opset) }],
    graph: {
      name: 'operator',
      node: [
        {
          opType: type,
          input: inputs.map((array, i) => (array ? `x${i}` : '')),
          output: Array.from({ length: outputs }, (_, i) => `y${i}`),
          attribute,
        },
      ],
      input: inputs.flatMap((array, i) =>
        array
          ? [
              {
                name: `x${i}`,
                type: {
                  value: {
                    case: 'tensorType' as const,
                    value: { elemType: DATA_TYPE[array.type], shape: { dim: dims(array.shape, `x${i}`) } },
                  },
                },
              },
            ]
          : [],
      ),
      output: Array.from({ length: outputs }, (_, i) => ({ name: `y${i}` })),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

/** Old files leave the type out. */
function typeOf({ type, f, s, floats, ints, strings }: AttributeProto): AttributeType {
  if (type !== AttributeType.UNDEFINED) return type;
  if (ints.length) return AttributeType.INTS;
  if (floats.length) return AttributeType.FLOATS;
  if (strings.length) return AttributeType.STRINGS;
  if (s.length) return AttributeType.STRING;
  return f !== 0 ? AttributeType.FLOAT : AttributeType.INT;
}

const tensorProto = ({ type, shape, data }: EngineArray) => ({
  dims: shape.map(BigInt),
  dataType: DATA_TYPE[type],
  rawData: new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength),
});
