// Elementwise operators: arithmetic with broadcasting, comparisons, logic, selection, elementary functions.
import { broadcastShape, type Graph, type GraphDtype, isConstant, sameShape, type Value } from '../graph.js';
import { type Dtype, sizeOf } from '../tree.js';
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
  const result = perChannel(g, op, x, y, dtype) ?? g.emit1(op, [x, y], small, {}, dtype);
  return sameShape(small, shape) ? result : g.broadcast(result, shape);
}

/** Elements up to which onnxruntime's loop over the last axis costs more than what it does. */
const SHORT_ROW = 512;

/**
 * x [.., h, w, c] ∘ y [c], with y repeated to a row of some hundred elements: onnxruntime broadcasts row by row, and
 * rows of a few channels take four times as long.
 * @returns undefined where that would not help, or where onnxruntime can fuse the operator with the one before
 */
function perChannel(g: Graph, op: string, x: Value, y: Value, dtype: GraphDtype): Value | undefined {
  const c = x.shape.at(-1)!;
  const isRow = y.shape.length <= x.shape.length && y.shape.at(-1) === c && sizeOf(y.shape) === c;
  if (x.shape.length < 3 || c === 1 || 2 * c > SHORT_ROW || !isRow || isConstant(y)) return undefined;
  let repeats = 1;
  for (let axis = x.shape.length - 2; axis >= 0 && repeats * c < SHORT_ROW; axis--) repeats *= x.shape[axis];
  if (repeats * c < SHORT_ROW) return undefined;
  const rows = [sizeOf(x.shape) / (repeats * c), repeats * c];
  const row = g.emit1('Tile', [g.reshape(y, [c]), g.int64([repeats])], [repeats * c]);
  return g.reshape(g.emit1(op, [g.reshape(x, rows), row], rows, {}, dtype), x.shape);
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

export const scalar = (g: Graph, x: number, dtype: GraphDtype = 'float32') => g.uniform(x, [], dtype);

export const add = (g: Graph, a: Value, b: Value) => binary(g, 'Add', a, b, (x, y) => x + y);
export const sub = (g: Graph, a: Value, b: Value) => binary(g, 'Sub', a, b, (x, y) => x - y);
export const mul = (g: Graph, a: Value, b: Value) => binary(g, 'Mul', a, b, (x, y) => x * y);
export const div = (g: Graph, a: Value, b: Value) =>
  binary(g, 'Div', a, b, (x, y) => (a.dtype === 'int32' ? Math.trunc(x / y) : x / y));

/** Division of whole numbers towards −∞, and its remainder, which has the divisor's sign. */
function floorDivision(g: Graph, a: Value, b: Value): [quotient: Value, remainder: Value] {
  const fold = (x: number, y: number) => x - Math.floor(x / y) * y;
  const remainder = binary(g, 'Mod', a, b, fold);
  return [div(g, sub(g, a, remainder), b), remainder];
}

/** a mod b with the sign of b: whole numbers at once; ONNX's remainder of floats has the sign of a. */
function modulo(g: Graph, a: Value, b: Value): Value {
  if (a.dtype === 'int32') return floorDivision(g, a, b)[1];
  const remainder = (x: Value) => {
    const shape = broadcastShape(x.shape, b.shape);
    return g.emit1('Mod', [x, b], shape, { fmod: 1 });
  };
  return remainder(add(g, remainder(a), b));
}

/** The angle of (x, y): atan(y / x), turned by ±π where x < 0; 0 at the origin. */
function atan2(g: Graph, y: Value, x: Value): Value {
  const zero = scalar(g, 0);
  const angle = unary(g, 'Atan', div(g, y, x), Math.atan);
  const half = where(g, compare(g, 'Less', y, zero), scalar(g, -Math.PI), scalar(g, Math.PI));
  const turned = where(g, compare(g, 'Less', x, zero), add(g, angle, half), angle);
  const origin = binary(g, 'And', compare(g, 'Equal', x, zero), compare(g, 'Equal', y, zero));
  return where(g, origin, zero, turned);
}

/** eˣ − 1 = tanh(x/2) (eˣ + 1), which loses no digits near 0. */
function expm1(g: Graph, x: Value): Value {
  if (x.uniform !== undefined) return unary(g, 'Exp', x, Math.expm1);
  const tanh = unary(g, 'Tanh', mul(g, x, scalar(g, 0.5)));
  return mul(g, tanh, add(g, unary(g, 'Exp', x), scalar(g, 1)));
}

/** log(1 + x) = x log(u) / (u − 1) where u = 1 + x as rounded (Kahan): exact near 0. */
function log1p(g: Graph, x: Value): Value {
  if (x.uniform !== undefined) return unary(g, 'Log', x, Math.log1p);
  const one = scalar(g, 1);
  const u = add(g, x, one);
  const ratio = div(g, unary(g, 'Log', u), sub(g, u, one));
  const lost = binary(g, 'Or', compare(g, 'Equal', u, one), unary(g, 'IsInf', u, undefined, {}, 'bool'));
  return where(g, lost, x, mul(g, x, ratio));
}

const ofBinary =
  (op: string, fold?: Fold): Lowering =>
  ({ g, inputs: { a, b } }) =>
    binary(g, op, a, b, fold);

/** A comparison; booleans are ordered as 0 < 1. */
function compare(g: Graph, op: string, a: Value, b: Value, fold?: (a: number, b: number) => boolean): Value {
  const ordered = (x: Value) => (x.dtype === 'bool' && op !== 'Equal' ? g.cast(x, 'int32') : x);
  return binary(g, op, ordered(a), ordered(b), fold && ((x, y) => Number(fold(x, y))), 'bool');
}
const comparison =
  (op: string, fold: (a: number, b: number) => boolean): Lowering =>
  ({ g, inputs: { a, b } }) =>
    compare(g, op, a, b, fold);
const logical =
  (op: string, fold: (a: number, b: number) => boolean): Lowering =>
  ({ g, inputs: { a, b } }) =>
    binary(g, op, a, b, (x, y) => Number(fold(x, y)), 'bool');
const ofUnary =
  (op: string, fold?: (x: number) => number): Lowering =>
  ({ g, inputs: { x } }) =>
    unary(g, op, x, fold);

/** condition ? a : b, all of them broadcast. */
export function where(g: Graph, condition: Value, a: Value, b: Value): Value {
  // onnxruntime has no selection of booleans.
  if (a.dtype === 'bool') return g.cast(where(g, condition, g.cast(a, 'int32'), g.cast(b, 'int32')), 'bool');
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

/** x brought into [min, max]. */
export const clip = (g: Graph, x: Value, min: number, max: number): Value =>
  g.emit1('Clip', [x, scalar(g, min, x.dtype), scalar(g, max, x.dtype)], x.shape);

const fill = ({ shape, value, dtype }: { shape: number[]; value: number; dtype?: Dtype }, g: Graph) =>
  g.uniform(Number(value), shape, dtype ?? 'float32');

/** IsNaN or IsInf; whole numbers are neither. */
const special =
  (op: string, fold: (x: number) => boolean): Lowering =>
  ({ g, inputs: { x } }) =>
    x.dtype === 'float32'
      ? unary(g, op, x, (v) => Number(fold(v)), {}, 'bool')
      : g.uniform(0, x.shape, 'bool');

const isNan = special('IsNaN', Number.isNaN);
const isInf = special('IsInf', (v) => Math.abs(v) === Infinity);

export const elementwise: Lowerings = {
  Add: ({ g, inputs: { a, b } }) => add(g, a, b),
  AddN: ({ g, list }) => list.reduce((a, b) => add(g, a, b)),
  Sub: ({ g, inputs: { a, b } }) => sub(g, a, b),
  Multiply: ({ g, inputs: { a, b } }) => mul(g, a, b),
  RealDiv: ({ g, inputs: { a, b } }) => div(g, a, b),
  FloorDiv: ({ g, inputs: { a, b } }) =>
    a.dtype === 'int32'
      ? floorDivision(g, a, b)[0]
      : g.cast(unary(g, 'Floor', div(g, a, b), Math.floor), 'int32'),
  Mod: ({ g, inputs: { a, b } }) => modulo(g, a, b),
  Maximum: ofBinary('Max', Math.max),
  Minimum: ofBinary('Min', Math.min),
  Pow: ofBinary('Pow', (x, y) => x ** y),
  Atan2: ({ g, inputs: { a, b } }) => atan2(g, a, b),
  SquaredDifference: ({ g, inputs: { a, b } }) => {
    const difference = sub(g, a, b);
    return mul(g, difference, difference);
  },
  BitwiseAnd: ofBinary('BitwiseAnd', (a, b) => a & b),
  Greater: comparison('Greater', (a, b) => a > b),
  GreaterEqual: comparison('GreaterOrEqual', (a, b) => a >= b),
  Less: comparison('Less', (a, b) => a < b),
  LessEqual: comparison('LessOrEqual', (a, b) => a <= b),
  Equal: comparison('Equal', (a, b) => a === b),
  NotEqual: ({ g, inputs: { a, b } }) =>
    unary(
      g,
      'Not',
      compare(g, 'Equal', a, b, (x, y) => x === y),
      (x) => 1 - x,
    ),
  LogicalAnd: logical('And', (a, b) => Boolean(a && b)),
  LogicalOr: logical('Or', (a, b) => Boolean(a || b)),
  LogicalXor: logical('Xor', (a, b) => a !== b),
  LogicalNot: ofUnary('Not', (x) => 1 - x),
  Select: selection,

  Neg: ofUnary('Neg', (x) => -x),
  Abs: ofUnary('Abs', Math.abs),
  Sign: ofUnary('Sign', Math.sign),
  Exp: ofUnary('Exp', Math.exp),
  Expm1: ({ g, inputs: { x } }) => expm1(g, x),
  Log: ofUnary('Log', Math.log),
  Log1p: ({ g, inputs: { x } }) => log1p(g, x),
  Sqrt: ofUnary('Sqrt', Math.sqrt),
  Rsqrt: ({ g, inputs: { x } }) => unary(g, 'Reciprocal', unary(g, 'Sqrt', x, Math.sqrt), (y) => 1 / y),
  Reciprocal: ofUnary('Reciprocal', (x) => 1 / x),
  Square: ({ g, inputs: { x } }) => mul(g, x, x),
  Sin: ofUnary('Sin', Math.sin),
  Cos: ofUnary('Cos', Math.cos),
  Tan: ofUnary('Tan', Math.tan),
  Asin: ofUnary('Asin', Math.asin),
  Acos: ofUnary('Acos', Math.acos),
  Atan: ofUnary('Atan', Math.atan),
  Sinh: ofUnary('Sinh', Math.sinh),
  Cosh: ofUnary('Cosh', Math.cosh),
  Tanh: ofUnary('Tanh', Math.tanh),
  Asinh: ofUnary('Asinh', Math.asinh),
  Acosh: ofUnary('Acosh', Math.acosh),
  Atanh: ofUnary('Atanh', Math.atanh),
  Floor: ofUnary('Floor', Math.floor),
  Ceil: ofUnary('Ceil', Math.ceil),
  Round: ofUnary('Round'),
  Erf: ofUnary('Erf'),
  ClipByValue: ({ g, inputs: { x }, attrs }) => clip(g, x, attrs.clipValueMin, attrs.clipValueMax),
  IsNan: isNan,
  IsInf: isInf,
  IsFinite: (call) => {
    const either = binary(call.g, 'Or', isNan(call) as Value, isInf(call) as Value, (a, b) => a | b);
    return unary(call.g, 'Not', either, (x) => 1 - x);
  },

  Identity: ({ inputs: { x } }) => x,
  Cast: ({ g, inputs: { x }, attrs }) => g.cast(x, attrs.dtype),
  Fill: ({ g, attrs }) => fill(attrs, g),
  ZerosLike: ({ g, inputs: { x } }) => g.uniform(0, x.shape, x.dtype),
  OnesLike: ({ g, inputs: { x } }) => g.uniform(1, x.shape, x.dtype),
};
