// A function of tensors → an ONNX model for other programs, whose sizes n, K, … are free. A trace has fixed shapes: the
// function is traced at two choices of the sizes, and where the two graphs differ, a size was at work.
import type * as tf from '#tfjs';
import { Graph, type Node, type Value } from './graph.js';
import { encodeOnnx, liveNodes } from './onnx.js';
import { trace } from './trace.js';
import { type Dtype, type NdArray, sizeOf, spec } from './tree.js';

/** A shape of numbers and names of free sizes: `['K', 'n', 16]`. */
export interface FreeSpec {
  readonly shape: readonly (number | string)[];
  readonly dtype?: Dtype;
}
type Flat<T> = Readonly<Record<string, T>>;

/** Two values of each free size, all different primes: a product of them tells its factors. */
const CHOICES = [
  [101, 103],
  [107, 109],
  [113, 127],
] as const;
const HIGHEST_POWER = 2;

/**
 * @param fn as a step function (contract.ts); it must work alike for all sizes
 * @param inputs by the names that they have in the model, as have the results
 * @returns a model of standard operators only
 * @throws Error where a number other than a shape depends on a free size
 */
export function functionToOnnx(
  fn: (inputs: Record<string, tf.Tensor>, constants: Record<string, tf.Tensor>) => Flat<tf.Tensor>,
  inputs: Flat<FreeSpec>,
  constants: Flat<NdArray>,
  name: string,
): { bytes: Uint8Array; outputs: Record<string, FreeSpec> } {
  const free = [...new Set(Object.values(inputs).flatMap(({ shape }) => shape.filter(isName)))];
  const traced = ([0, 1] as const).map((choice) => {
    const concrete = Object.entries(inputs).map(([name, { shape, dtype }]) => {
      const sizes = shape.map((n) => (isName(n) ? CHOICES[free.indexOf(n)][choice] : n));
      return [name, spec(sizes, dtype)] as const;
    });
    return trace(fn, Object.fromEntries(concrete), constants);
  });
  const [first, second] = traced;
  const [live, other] = traced.map(({ graph, outputs }) =>
    liveNodes(
      graph,
      outputs.map(([, v]) => v),
    ),
  );
  const g = new Graph();
  const known = new Map<Value, Value>();
  for (const [i, value] of first.graph.inputs.entries()) {
    const shape = freeShape(value, second.graph.inputs[i]);
    known.set(value, g.input(value.input!.slice('in.'.length), shape, value.dtype as Dtype));
  }

  /** One element, int64 [1]. */
  const size = (index: number): Value => {
    for (const input of g.inputs) {
      const axis = input.shape.indexOf(-1 - index);
      if (axis >= 0) return g.emit1('Shape', [input], [1], { start: axis, end: axis + 1 }, 'int64');
    }
    throw new Error(`no input has the size ${free[index]}`);
  };
  const times = (a: Value | undefined, b: Value) => (a ? g.emit1('Mul', [a, b], [1]) : b);
  /** A list of numbers of which some depend on free sizes, int64. */
  const list = (a: readonly number[], b: readonly number[]): Value => {
    const parts = a.map((n, i) => {
      if (n === b[i]) return g.int64([n]);
      const { factor, powers } = product(n, b[i]);
      let value: Value | undefined;
      powers.forEach((power, index) => {
        for (let p = 0; p < power; p++) value = times(value, size(index));
      });
      return factor === 1 ? value! : times(value, g.int64([factor]));
    });
    return parts.length === 1 ? parts[0] : g.emit1('Concat', parts, [parts.length], { axis: 0 });
  };

  function convert(a: Value, b: Value, user: string): Value {
    const made = known.get(a);
    if (made) return made;
    const fixed = `${a.shape}` === `${b.shape}`;
    if (a.uniform !== undefined && Object.is(a.uniform, b.uniform))
      return fixed
        ? g.uniform(a.uniform, a.shape, a.dtype)
        : g.emit1('Expand', [g.uniform(a.uniform, [], a.dtype), list(a.shape, b.shape)], freeShape(a, b));
    if (a.constant && b.constant && fixed) {
      if (
        a.constant.length === b.constant.length &&
        (a.constant as Float32Array).every((x, i) => Object.is(x, b.constant![i]))
      )
        return g.constant(a.constant, a.shape, a.dtype);
      if (a.dtype === 'int64' && a.shape.length === 1)
        return list(Array.from(a.constant, Number), Array.from(b.constant, Number));
    }
    throw new Error(`a constant of ${user} depends on a free size (${free.join(', ')})`);
  }

  live.forEach((node, i) => {
    const twin = other[i];
    if (node.op !== twin?.op || JSON.stringify(node.attributes) !== JSON.stringify(twin.attributes))
      throw new Error(`the operation ${node.op} depends on a free size (${free.join(', ')})`);
    const mapped = node.inputs.map((value, k) => {
      if (!value) return undefined;
      return (k === 1 && inferredShape(g, node, twin)) || convert(value, twin.inputs[k]!, node.op);
    });
    const specs = node.outputs.map((v, k) => ({ shape: freeShape(v, twin.outputs[k]), dtype: v.dtype }));
    const made = g.emit(node.op, mapped, node.attributes, specs);
    for (const [k, value] of made.entries()) known.set(node.outputs[k], value);
  });
  const outputs = first.outputs.map(([path, value], i): [string, Value] => [
    path.slice('out.'.length),
    convert(value, second.outputs[i][1], path),
  ]);
  const named = (shape: readonly number[]) => shape.map((n) => (n < 0 ? free[-1 - n] : n));
  return {
    bytes: encodeOnnx(g, outputs, name, free),
    outputs: Object.fromEntries(outputs.map(([name, { shape }]) => [name, { shape: named(shape) }])),
  };
}

const isName = (n: number | string): n is string => typeof n === 'string';

/** n and m are the same product of a number and free sizes, at both choices. */
function product(n: number, m: number): { factor: number; powers: number[] } {
  const powers = CHOICES.map(([a, b]) => {
    let power = 0;
    while (power < HIGHEST_POWER && n % a === 0 && m % b === 0) {
      n /= a;
      m /= b;
      power++;
    }
    return power;
  });
  if (n !== m) throw new Error(`a shape is no product of free sizes: ${n} and ${m} are left`);
  return { factor: n, powers };
}

/** Where only one length of a Reshape is free, the others say it. */
function inferredShape(g: Graph, { op, inputs }: Node, twin: Node): Value | undefined {
  const [a, b] = [inputs[1]?.constant, twin.inputs[1]?.constant];
  if (op !== 'Reshape' || !a || !b) return undefined;
  const other = Array.from(b, Number);
  const numbers = Array.from(a, Number).map((n, i) => (n === other[i] ? n : -1));
  if (numbers.filter((n) => n < 0).length !== 1 || sizeOf(numbers) === 0) return undefined;
  return g.int64(numbers);
}

/** The i-th free size is −1 − i. Other lengths that depend on one keep their number: only inputs and results tell theirs. */
const freeShape = (a: Value, b: Value): number[] =>
  a.shape.map((n, i) => {
    const index = CHOICES.findIndex(([x, y]) => n === x && b.shape[i] === y);
    return index < 0 ? n : -1 - index;
  });
