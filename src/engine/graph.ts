// The graph that a trace builds: values with static shapes, nodes in order of execution, and the few rewrites that
// pay for themselves while building (equal nodes merged, uniform constants folded, broadcasts kept lazy).
import type { Site } from './contract.js';
import { type Dtype, sizeOf } from './tree.js';

/** Element types of the graph; int64 is only for the shapes and axes that ONNX operators take as inputs. */
export type GraphDtype = Dtype | 'int64';
export type ConstantData = Float32Array | Int32Array | Uint8Array | BigInt64Array;
export type Attribute = number | string | readonly number[] | { float: number };

export interface Value {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: GraphDtype;
  /** Set for outputs of nodes. */
  readonly node?: Node;
  /** Set for inputs of the graph. */
  readonly input?: string;
  /** Set for constants with data. */
  readonly constant?: ConstantData;
  /** Set where every element is this number: no data is stored, whatever the shape. */
  readonly uniform?: number;
  /** Set where this value is a broadcast of a smaller one; operators that broadcast take that one instead. */
  readonly broadcastOf?: Value;
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly outputs: Value[];
  readonly origin?: Origin;
}

/** The operation of the step function that a node belongs to. */
export interface Origin {
  /** TensorFlow.js's name of the kernel. */
  readonly kernel: string;
  readonly site: Site;
  /** Set in the backward pass: the operation whose gradient this computes. */
  readonly gradientOf?: string;
}

export interface OutputSpec {
  shape: readonly number[];
  dtype: GraphDtype;
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

/** NumPy's broadcasting of two shapes. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const m = a[i - rank + a.length] ?? 1;
    const n = b[i - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    return m === 1 ? n : m;
  });
}

/** Whether a value is the same in every run. */
export const isConstant = (value: Value): boolean =>
  value.constant !== undefined ||
  value.uniform !== undefined ||
  (value.node?.inputs.every((input) => !input || isConstant(input)) ?? false);

export class Graph {
  /** @param channelBlock channels in a block of onnxruntime's blocked convolutions; 0 where there are none */
  constructor(readonly channelBlock = 0) {}

  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  /** Recorded in the nodes that are emitted while it is set. */
  origin?: Origin;
  private readonly merged = new Map<string, Node>();
  private readonly constants = new Map<string, Value>();
  private nextId = 0;

  input(name: string, shape: readonly number[], dtype: Dtype): Value {
    const value: Value = { id: this.nextId++, shape, dtype, input: name };
    this.inputs.push(value);
    return value;
  }

  uniform(number: number, shape: readonly number[], dtype: GraphDtype = 'float32'): Value {
    const key = `u${dtype}:${Object.is(number, -0) ? '-0' : number}:${shape}`;
    return this.remember(key, () => ({ id: this.nextId++, shape, dtype, uniform: number }));
  }

  /** A constant with data; recognised as uniform where it is, and merged with an equal one where it is small. */
  constant(data: ConstantData, shape: readonly number[], dtype: GraphDtype): Value {
    const first = data[0];
    if (data.length > 0 && dtype !== 'int64' && (data as Float32Array).every((x) => Object.is(x, first)))
      return this.uniform(Number(first), shape, dtype);
    const make = (): Value => ({ id: this.nextId++, shape, dtype, constant: data });
    return data.length <= 64 ? this.remember(`c${dtype}:${shape}:${data.join(',')}`, make) : make();
  }

  int64(numbers: readonly number[]): Value {
    return this.constant(BigInt64Array.from(numbers, BigInt), [numbers.length], 'int64');
  }

  /** Adds a node, or finds the equal one that is there already. */
  emit(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>>,
    outputs: readonly OutputSpec[],
  ): Value[] {
    const key = `${op}(${inputs.map((v) => v?.id ?? '')})${JSON.stringify(attributes)}${JSON.stringify(outputs)}`;
    let node = this.merged.get(key);
    if (!node) {
      const created: Node = { op, inputs, attributes, outputs: [], origin: this.origin };
      for (const { shape, dtype } of outputs)
        created.outputs.push({ id: this.nextId++, shape, dtype, node: created });
      this.nodes.push(created);
      this.merged.set(key, created);
      node = created;
    }
    return node.outputs;
  }

  /** A node with one output, of the first input's type unless given. */
  emit1(
    op: string,
    inputs: readonly (Value | undefined)[],
    shape: readonly number[],
    attributes: Readonly<Record<string, Attribute>> = {},
    dtype: GraphDtype = inputs[0]!.dtype,
  ): Value {
    return this.emit(op, inputs, attributes, [{ shape, dtype }])[0];
  }

  /** `value` in a larger shape, without computing it unless somebody needs every element. */
  broadcast(value: Value, shape: readonly number[]): Value {
    if (sameShape(value.shape, shape)) return value;
    if (value.uniform !== undefined) return this.uniform(value.uniform, shape, value.dtype);
    const source = value.broadcastOf ?? value;
    const [expanded] = this.emit('Expand', [source, this.int64(shape)], {}, [{ shape, dtype: value.dtype }]);
    return Object.assign(expanded, { broadcastOf: source });
  }

  /** Operands of an operator that broadcasts: the smallest values that still give `shape`. */
  operands(a: Value, b: Value, shape: readonly number[]): [Value, Value] {
    const small = (v: Value): Value =>
      v.uniform !== undefined ? this.uniform(v.uniform, [], v.dtype) : (v.broadcastOf ?? v);
    const fits = (x: Value, y: Value) => sameShape(broadcastShape(x.shape, y.shape), shape);
    const candidates: [Value, Value][] = [
      [small(a), small(b)],
      [small(a), b],
      [a, small(b)],
    ];
    return candidates.find(([x, y]) => fits(x, y)) ?? [a, b];
  }

  reshape(x: Value, shape: readonly number[]): Value {
    if (sameShape(x.shape, shape)) return x;
    if (x.uniform !== undefined) return this.uniform(x.uniform, shape, x.dtype);
    if (x.constant) return this.constant(x.constant, shape, x.dtype);
    if (x.broadcastOf && sizeOf(x.broadcastOf.shape) === 1)
      return this.broadcast(this.reshape(x.broadcastOf, []), shape);
    if (x.node?.op === 'Reshape') return this.reshape(x.node.inputs[0]!, shape);
    return this.emit1('Reshape', [x, this.int64(shape)], shape);
  }

  transpose(x: Value, perm: readonly number[]): Value {
    const shape = perm.map((axis) => x.shape[axis]);
    if (x.uniform !== undefined) return this.uniform(x.uniform, shape, x.dtype);
    if (perm.every((axis, i) => axis === i)) return x;
    // Axes of length 1 may move freely: then a transposition is only a change of shape.
    const moving = perm.filter((axis) => x.shape[axis] !== 1);
    if (moving.every((axis, i) => i === 0 || moving[i - 1] < axis)) return this.reshape(x, shape);
    if (x.node?.op === 'Transpose') {
      const inner = x.node.attributes.perm as readonly number[];
      return this.transpose(
        x.node.inputs[0]!,
        perm.map((axis) => inner[axis]),
      );
    }
    if (moving.length < perm.length) {
      // Without them onnxruntime sees more often that one axis alone moves, for which it is several times faster.
      const kept = x.shape.flatMap((n, axis) => (n === 1 ? [] : [axis]));
      const squeezed = this.reshape(
        x,
        kept.map((axis) => x.shape[axis]),
      );
      return this.reshape(
        this.transpose(
          squeezed,
          moving.map((axis) => kept.indexOf(axis)),
        ),
        shape,
      );
    }
    return this.emit1('Transpose', [x], shape, { perm });
  }

  cast(x: Value, dtype: GraphDtype): Value {
    if (x.dtype === dtype) return x;
    if (x.uniform !== undefined) {
      const number =
        dtype === 'bool' ? Number(x.uniform !== 0) : dtype === 'int32' ? Math.trunc(x.uniform) : x.uniform;
      return this.uniform(number, x.shape, dtype);
    }
    if (x.broadcastOf) return this.broadcast(this.cast(x.broadcastOf, dtype), x.shape);
    return this.emit1('Cast', [x], x.shape, { to: ONNX_TYPE[dtype] }, dtype);
  }

  private remember(key: string, make: () => Value): Value {
    let value = this.constants.get(key);
    if (!value) {
      value = make();
      this.constants.set(key, value);
    }
    return value;
  }
}

/** onnx.TensorProto.DataType */
export const ONNX_TYPE: Record<GraphDtype, number> = { float32: 1, int32: 6, int64: 7, bool: 9 };
