// From the name of a value to the numbers behind it: constants, and nodes that only rearrange, cast or (de-)quantise
// one. Nothing is computed before the weights are read.
import { inputError } from '../errors.js';
import { sizeOf } from '../formats/shape.js';
import { type ByteSource, shown } from '../formats/source.js';
import { permuteAxes } from './layers.js';
import type { OnnxFunction, OnnxNode } from './onnx-file.js';
import { attributeOf, callScope, lookUp, placeOf, type Scope } from './onnx-scope.js';
import { type StoredTensor, storedTensor } from './onnx-tensor.js';

/** Nodes between a constant and its convolution. */
const DEEPEST = 16;
/** What is left of them for shapes, scales and zero points: else each could lie behind as many again. */
const ASIDE = 10;
/** Values looked up in a model. */
const MOST_LOOK_UPS = 500_000;

const isStandard = (domain: string) => domain === '' || domain === 'ai.onnx';

/** Where the scales of quantised values are looked up, and along which axis they lie: in blocks of values, if not 0. */
interface ScaleAxis {
  scope: Scope;
  axis: number;
  block?: number;
  depth?: number;
}

export class WeightResolver {
  private readonly functions: ReadonlyMap<string, OnnxFunction>;
  /** Constants that were looked at already. */
  private readonly stored = new Map<object, StoredTensor | string>();
  private lookUps = 0;

  constructor(
    private readonly source: ByteSource,
    functions: readonly OnnxFunction[],
  ) {
    this.functions = new Map(functions.map((f) => [functionKey(f.domain, f.name, f.overload), f]));
  }

  functionOf({ domain, type, overload }: OnnxNode): OnnxFunction | undefined {
    return this.functions.size === 0 ? undefined : this.functions.get(functionKey(domain, type, overload));
  }

  /** Follows a value back to its constant. @returns the value, or the reason why it cannot be had */
  resolve(name: string, scope: Scope, depth = 0): StoredTensor | string {
    if (++this.lookUps > MOST_LOOK_UPS)
      throw inputError(
        `${this.source.path}: its weights lie behind too many nodes`,
        'export the model again',
      );
    const origin = lookUp(name, scope);
    if (!origin) return 'its weights are an input of the graph, not a constant';
    if (origin === 'sparse') return 'its weights are stored sparse, which is not read';
    if (depth > DEEPEST) return `more than ${DEEPEST} nodes lie between its weights and their constant`;
    const { made } = origin;
    if (made.kind === 'tensor') return this.constant(made);
    const called = this.functionOf(made);
    if (called) {
      const output = called.outputs[placeOf(origin.name, made.outputs)];
      return this.resolve(output ?? '', callScope(called, made, origin.scope), depth + 1);
    }
    if (made.type === 'DequantizeLinear' || made.type === 'QuantizeLinear')
      return this.quantisation(made, origin.scope, depth);
    if (!isStandard(made.domain)) return `its weights are computed (${shown(made.type)})`;
    return this.rearranged(made, origin.scope, depth);
  }

  private constant(tensor: Parameters<typeof storedTensor>[0]): StoredTensor | string {
    let result = this.stored.get(tensor);
    if (result === undefined) {
      result = storedTensor(tensor, this.source);
      this.stored.set(tensor, result);
    }
    return result;
  }

  private rearranged(node: OnnxNode, scope: Scope, depth: number): StoredTensor | string {
    const value = (i: number) => this.resolve(node.inputs[i] ?? '', scope, depth + 1);
    const ints = (name: string, input: number): number[] | undefined => {
      const attribute = attributeOf(node, name, scope);
      if (attribute) return attribute.ints;
      return node.inputs[input] ? this.integers(node.inputs[input], scope, depth + ASIDE) : undefined;
    };
    switch (node.type) {
      case 'Constant': {
        const attribute = (name: string) => attributeOf(node, name, scope);
        const tensor = attribute('value')?.tensor ?? attribute('value_floats')?.floats;
        if (tensor) return this.constant(tensor);
        const numbers = attribute('value_ints')?.ints;
        const single = attribute('value_float')?.float ?? attribute('value_int')?.int;
        const list = numbers ?? (single === undefined ? undefined : [single]);
        if (!list) return 'its weights are a Constant that is no dense tensor';
        const isFloat = Boolean(attribute('value_float'));
        const dtype = isFloat ? 'float32' : 'int64';
        const shape = numbers ? [list.length] : [];
        return { shape, dtype, isFloat, origin: node, read: () => Float32Array.from(list) };
      }
      case 'Identity':
      case 'Cast': // to float of another width: the stored values are the best there are
      case 'CastLike':
      case 'Dropout':
        return value(0);
      case 'Transpose': {
        const weights = value(0);
        if (typeof weights === 'string') return weights;
        const { shape, read } = weights;
        const perm = ints('perm', -1);
        const order = perm?.length ? perm : shape.map((_, axis) => shape.length - 1 - axis);
        if ([...order].sort((a, b) => a - b).join() !== shape.map((_, axis) => axis).join())
          return `a Transpose with the axes ${brief(order)} of weights [${shape}]`;
        return {
          ...weights,
          shape: order.map((axis) => shape[axis]),
          read: () => permuteAxes(read(), shape, order),
        };
      }
      case 'Reshape': {
        const weights = value(0);
        if (typeof weights === 'string') return weights;
        const target = ints('shape', 1); // an attribute before opset 5
        const shape =
          target && reshaped(weights.shape, target, attributeOf(node, 'allowzero', scope)?.int === 1);
        return shape ? { ...weights, shape } : 'a Reshape of its weights to a shape that is not constant';
      }
      case 'Unsqueeze':
      case 'Squeeze': {
        const weights = value(0);
        if (typeof weights === 'string') return weights;
        const axes = ints('axes', 1);
        const shape =
          node.type === 'Squeeze' ? squeezed(weights.shape, axes) : axes && unsqueezed(weights.shape, axes);
        return shape
          ? { ...weights, shape }
          : `${node.type} of its weights [${weights.shape}] by ${brief(axes ?? [])}`;
      }
      case 'Flatten': {
        const weights = value(0);
        if (typeof weights === 'string') return weights;
        const axis = attributeOf(node, 'axis', scope)?.int ?? 1;
        const rank = weights.shape.length;
        const cut = axis < 0 ? axis + rank : axis;
        if (!(cut >= 0 && cut <= rank)) return `Flatten of its weights [${weights.shape}] by ${axis}`;
        return {
          ...weights,
          shape: [sizeOf(weights.shape.slice(0, cut)), sizeOf(weights.shape.slice(cut))],
        };
      }
      default:
        return `its weights are computed (${shown(node.type)})`;
    }
  }

  /** Whole numbers of a small constant, such as the target of a Reshape. */
  private integers(name: string, scope: Scope, depth: number): number[] | undefined {
    const value = this.resolve(name, scope, depth);
    if (typeof value === 'string' || value.isFloat || sizeOf(value.shape) > 64) return undefined;
    return [...value.read()];
  }

  /**
   * DequantizeLinear(x, scale, zero point), of stored integers or behind a QuantizeLinear of floats (as networks are
   * exported that were trained for it). One scale for all, one for each index of an axis, or one for each block.
   */
  private quantisation(node: OnnxNode, scope: Scope, depth: number): StoredTensor | string {
    const x = this.resolve(node.inputs[0] ?? '', scope, depth + 1);
    if (typeof x === 'string') return x;
    const axis = attributeOf(node, 'axis', scope)?.int ?? 1;
    const block = attributeOf(node, 'block_size', scope)?.int ?? 0;
    const zero = node.inputs[2] ?? '';
    if (node.type === 'DequantizeLinear')
      return this.dequantised(x, node.inputs[1] ?? '', zero, { scope, axis, block, depth });
    if (!x.isFloat) return 'its weights are quantised twice';
    const along = { scope, axis, block, depth };
    const scales = this.spread(node.inputs[1] ?? '', x.shape, along);
    const zeros = zero ? this.spread(zero, x.shape, along) : () => () => 0;
    if (typeof scales === 'string') return scales;
    if (typeof zeros === 'string') return zeros;
    const type = zero ? this.resolve(zero, scope, depth + ASIDE) : undefined;
    const dtype = typeof type === 'object' ? type.dtype : 'uint8';
    const match = /^(u?)int(4|8|16)$/.exec(dtype);
    if (!match) return `its weights are quantised to ${dtype}`;
    const low = match[1] ? 0 : -(2 ** (Number(match[2]) - 1));
    const high = low + 2 ** Number(match[2]) - 1;
    return {
      ...x,
      dtype,
      isFloat: false,
      read: () => {
        const [scale, offset] = [scales(), zeros()];
        return x
          .read()
          .map((value, i) =>
            Math.min(high, Math.max(low, roundHalfEven(Math.fround(value / scale(i))) + offset(i))),
          );
      },
    };
  }

  /**
   * (x − zero point) · scale in float32, as DequantizeLinear defines it.
   *
   * @param scale name of the scale; of the zero point `zero`, '' for none
   */
  dequantised(x: StoredTensor, scale: string, zero: string, along: ScaleAxis): StoredTensor | string {
    if (x.isFloat) return `its weights are quantised, but stored as ${x.dtype}`;
    const scales = this.spread(scale, x.shape, along);
    if (typeof scales === 'string') return scales;
    const zeros = zero ? this.spread(zero, x.shape, along) : () => () => 0;
    if (typeof zeros === 'string') return zeros;
    return {
      ...x,
      isFloat: true,
      read: () => {
        const [factor, offset] = [scales(), zeros()];
        return x.read().map((q, i) => Math.fround(q - offset(i)) * factor(i));
      },
    };
  }

  /**
   * A scale or zero point for every value of an array.
   *
   * @returns read it, then ask for the one of value i; or the reason why it cannot be had
   */
  private spread(
    name: string,
    shape: readonly number[],
    { scope, axis, block = 0, depth = 0 }: ScaleAxis,
  ): (() => (i: number) => number) | string {
    const factor = this.resolve(name, scope, depth + ASIDE);
    if (typeof factor === 'string') return 'the scale or zero point of its weights is not constant';
    const count = sizeOf(factor.shape);
    if (count === 1)
      return () => {
        const [only] = factor.read();
        return () => only;
      };
    const along = axis < 0 ? axis + shape.length : axis;
    if (!(along >= 0 && along < shape.length))
      return `its scale lies along axis ${axis} of weights [${shape}]`;
    const inner = sizeOf(shape.slice(along + 1));
    const size = shape[along];
    const unfit = `its scale [${factor.shape}] does not fit its weights [${shape}]`;
    if (block > 0 && factor.shape.length === shape.length) {
      const blocks = Math.ceil(size / block);
      if (factor.shape.some((n, i) => n !== (i === along ? blocks : shape[i]))) return unfit;
      return () => {
        const values = factor.read();
        return (i) => {
          const outer = Math.floor(i / (inner * size));
          const at = Math.floor((Math.floor(i / inner) % size) / block);
          return values[(outer * blocks + at) * inner + (i % inner)];
        };
      };
    }
    if (count !== size) return unfit;
    return () => {
      const values = factor.read();
      return (i) => values[Math.floor(i / inner) % size];
    };
  }
}

const functionKey = (domain: string, name: string, overload: string) =>
  JSON.stringify([domain, name, overload]);

/** A list of a stranger's for a message. */
const brief = (list: readonly number[]) =>
  list.length > 8 ? `[${list.slice(0, 8)},…] (${list.length})` : `[${list}]`;

function roundHalfEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** ONNX's rule: 0 keeps a dimension, one −1 takes the rest. */
function reshaped(
  shape: readonly number[],
  target: readonly number[],
  allowZero: boolean,
): number[] | undefined {
  const count = sizeOf(shape);
  const wanted = target.map((n, axis) => (n === 0 && !allowZero ? shape[axis] : n));
  const known = wanted.reduce((a, n) => (n === -1 ? a : a * n), 1);
  const result = wanted.map((n) => (n === -1 ? count / known : n));
  return result.every((n) => Number.isInteger(n) && n >= 0) && sizeOf(result) === count ? result : undefined;
}

function squeezed(shape: readonly number[], axes: readonly number[] | undefined): number[] | undefined {
  const gone = axes?.map((axis) => (axis < 0 ? axis + shape.length : axis));
  if (gone?.some((axis) => shape[axis] !== 1)) return undefined;
  return shape.filter((n, axis) => (gone?.length ? !gone.includes(axis) : n !== 1));
}

function unsqueezed(shape: readonly number[], axes: readonly number[]): number[] | undefined {
  const rank = shape.length + axes.length;
  if (rank > 32) return undefined;
  const added = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  if (added.size !== axes.length || [...added].some((axis) => !(axis >= 0 && axis < rank))) return undefined;
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.shift()!));
}
