// Elementwise operators: unary, binary with broadcasting, comparisons, selection.
import { broadcastShape, type Graph, type GraphDtype, sameShape, type Value } from '../graph.js';
import type { Dtype } from '../tree.js';
import type { Lowering, Lowerings } from './lowering.js';

type Fold = (a: number, b: number) => number;

/** A binary ONNX operator that broadcasts; uniform operands are folded. */
export function binary(
  g: Graph,
  op: string,
  a: Value,
  b: Value,
  fold?: Fold,
  dtype: GraphDtype = a.dtype,
): Value {
  const shape = broadcastShape(a.shape, b.shape);
  if (fold && a.uniform !== undefined && b.uniform !== undefined) {
    const x = fold(a.uniform, b.uniform);
    return g.uniform(dtype === 'float32' ? Math.fround(x) : x, shape, dtype);
  }
  const neutral = NEUTRAL[op];
  if (neutral !== undefined && b.uniform === neutral) return g.broadcast(a, shape);
  if (COMMUTATIVE.has(op) && a.uniform === neutral && neutral !== undefined) return g.broadcast(b, shape);
  const [x, y] = g.operands(a, b, shape);
  const small = broadcastShape(x.shape, y.shape);
  const result = g.emit1(op, [x, y], small, {}, dtype);
  return sameShape(small, shape) ? result : g.broadcast(result, shape);
}

const NEUTRAL: Record<string, number> = { Add: 0, Sub: 0, Mul: 1, Div: 1 };
const COMMUTATIVE = new Set(['Add', 'Mul']);

/** A unary ONNX operator; a uniform or broadcast operand stays so. */
export function unary(
  g: Graph,
  op: string,
  x: Value,
  fold?: (x: number) => number,
  attributes: Record<string, number | { float: number }> = {},
  dtype: GraphDtype = x.dtype,
): Value {
  if (fold && x.uniform !== undefined) {
    const y = fold(x.uniform);
    return g.uniform(dtype === 'float32' ? Math.fround(y) : y, x.shape, dtype);
  }
  if (x.broadcastOf) return g.broadcast(unary(g, op, x.broadcastOf, fold, attributes, dtype), x.shape);
  return g.emit1(op, [x], x.shape, attributes, dtype);
}

const scalar = (g: Graph, x: number, dtype: GraphDtype = 'float32') => g.uniform(x, [], dtype);

export const add = (g: Graph, a: Value, b: Value) => binary(g, 'Add', a, b, (x, y) => x + y);
export const sub = (g: Graph, a: Value, b: Value) => binary(g, 'Sub', a, b, (x, y) => x - y);
export const mul = (g: Graph, a: Value, b: Value) => binary(g, 'Mul', a, b, (x, y) => x * y);
export const div = (g: Graph, a: Value, b: Value) =>
  binary(g, 'Div', a, b, (x, y) => (a.dtype === 'int32' ? Math.trunc(x / y) : x / y));

const ofBinary =
  (op: string, fold?: Fold): Lowering =>
  ({ g, inputs: { a, b } }) =>
    binary(g, op, a, b, fold);
const comparison =
  (op: string, fold: (a: number, b: number) => boolean): Lowering =>
  ({ g, inputs: { a, b } }) =>
    binary(g, op, a, b, (x, y) => Number(fold(x, y)), 'bool');
const ofUnary =
  (op: string, fold?: (x: number) => number): Lowering =>
  ({ g, inputs: { x } }) =>
    unary(g, op, x, fold);

/** condition ? a : b, all of them broadcast. */
export function where(g: Graph, condition: Value, a: Value, b: Value): Value {
  const shape = broadcastShape(broadcastShape(condition.shape, a.shape), b.shape);
  const small = (v: Value) =>
    v.uniform !== undefined ? scalar(g, v.uniform, v.dtype) : (v.broadcastOf ?? v);
  const parts = [small(condition), small(a), small(b)];
  const reached = broadcastShape(broadcastShape(parts[0].shape, parts[1].shape), parts[2].shape);
  return g.broadcast(g.emit1('Where', parts, reached, {}, a.dtype), shape);
}

const selection: Lowering = ({ g, inputs: { condition, t, e } }) => {
  // tfjs allows a condition of rank 1 over the first axis of t and e.
  const c =
    condition.shape.length === 1 && t.shape.length > 1
      ? g.reshape(condition, [condition.shape[0], ...t.shape.slice(1).map(() => 1)])
      : condition;
  return where(g, c, t, e);
};

const clip = (g: Graph, x: Value, min: number, max: number): Value =>
  g.emit1('Clip', [x, scalar(g, min, x.dtype), scalar(g, max, x.dtype)], x.shape);

const fill = ({ shape, value, dtype }: { shape: number[]; value: number; dtype?: Dtype }, g: Graph) =>
  g.uniform(Number(value), shape, dtype ?? 'float32');

export const elementwise: Lowerings = {
  Add: ({ g, inputs: { a, b } }) => add(g, a, b),
  AddN: ({ g, list }) => list.reduce((a, b) => add(g, a, b)),
  Sub: ({ g, inputs: { a, b } }) => sub(g, a, b),
  Multiply: ({ g, inputs: { a, b } }) => mul(g, a, b),
  RealDiv: ({ g, inputs: { a, b } }) => div(g, a, b),
  Maximum: ofBinary('Max', Math.max),
  Minimum: ofBinary('Min', Math.min),
  Pow: ofBinary('Pow', (x, y) => x ** y),
  SquaredDifference: ({ g, inputs: { a, b } }) => {
    const difference = sub(g, a, b);
    return mul(g, difference, difference);
  },
  Greater: comparison('Greater', (a, b) => a > b),
  GreaterEqual: comparison('GreaterOrEqual', (a, b) => a >= b),
  Less: comparison('Less', (a, b) => a < b),
  LessEqual: comparison('LessOrEqual', (a, b) => a <= b),
  Equal: comparison('Equal', (a, b) => a === b),
  NotEqual: ({ g, inputs: { a, b } }) => {
    const equal = binary(g, 'Equal', a, b, (x, y) => Number(x === y), 'bool');
    return unary(g, 'Not', equal, (x) => 1 - x);
  },
  LogicalAnd: comparison('And', (a, b) => Boolean(a && b)),
  LogicalOr: comparison('Or', (a, b) => Boolean(a || b)),
  LogicalNot: ofUnary('Not', (x) => 1 - x),
  Select: selection,

  Neg: ofUnary('Neg', (x) => -x),
  Abs: ofUnary('Abs', Math.abs),
  Sign: ofUnary('Sign', Math.sign),
  Exp: ofUnary('Exp', Math.exp),
  Expm1: ({ g, inputs: { x } }) => sub(g, unary(g, 'Exp', x, Math.exp), scalar(g, 1)),
  Log: ofUnary('Log', Math.log),
  Log1p: ({ g, inputs: { x } }) => unary(g, 'Log', add(g, x, scalar(g, 1)), Math.log),
  Sqrt: ofUnary('Sqrt', Math.sqrt),
  Rsqrt: ({ g, inputs: { x } }) => unary(g, 'Reciprocal', unary(g, 'Sqrt', x, Math.sqrt), (y) => 1 / y),
  Reciprocal: ofUnary('Reciprocal', (x) => 1 / x),
  Square: ({ g, inputs: { x } }) => mul(g, x, x),
  Sin: ofUnary('Sin', Math.sin),
  Cos: ofUnary('Cos', Math.cos),
  Floor: ofUnary('Floor', Math.floor),
  Ceil: ofUnary('Ceil', Math.ceil),
  Round: ofUnary('Round'),
  Erf: ofUnary('Erf'),
  Tanh: ofUnary('Tanh', Math.tanh),
  Sigmoid: ofUnary('Sigmoid', (x) => 1 / (1 + Math.exp(-x))),
  Softplus: ofUnary('Softplus', (x) => Math.log1p(Math.exp(x))),
  Relu: ofUnary('Relu', (x) => Math.max(x, 0)),
  Relu6: ({ g, inputs: { x } }) => clip(g, x, 0, 6),
  LeakyRelu: ({ g, inputs: { x }, attrs }) =>
    unary(g, 'LeakyRelu', x, undefined, { alpha: { float: attrs.alpha } }),
  Elu: ({ g, inputs: { x } }) => unary(g, 'Elu', x, undefined, { alpha: { float: 1 } }),
  // d elu / dx at output y is y + 1 below zero and 1 above, which is min(y + 1, 1) as y > -1.
  EluGrad: ({ g, inputs: { dy, y } }) =>
    mul(g, dy, binary(g, 'Min', add(g, y, scalar(g, 1)), scalar(g, 1), Math.min)),
  Step: ({ g, inputs: { x }, attrs }) => {
    const positive = binary(g, 'Greater', x, scalar(g, 0, x.dtype), (a, b) => Number(a > b), 'bool');
    if (!attrs.alpha) return g.cast(positive, x.dtype);
    return where(g, positive, scalar(g, 1, x.dtype), scalar(g, attrs.alpha, x.dtype));
  },
  ClipByValue: ({ g, inputs: { x }, attrs }) => clip(g, x, attrs.clipValueMin, attrs.clipValueMax),
  IsNan: ({ g, inputs: { x } }) => unary(g, 'IsNaN', x, (v) => Number(Number.isNaN(v)), {}, 'bool'),

  Identity: ({ inputs: { x } }) => x,
  Cast: ({ g, inputs: { x }, attrs }) => g.cast(x, attrs.dtype),
  Fill: ({ g, attrs }) => fill(attrs, g),
  ZerosLike: ({ g, inputs: { x } }) => g.uniform(0, x.shape, x.dtype),
  OnesLike: ({ g, inputs: { x } }) => g.uniform(1, x.shape, x.dtype),
};
