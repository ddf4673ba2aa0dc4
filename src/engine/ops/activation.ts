// Activation functions, and their gradients in the fewest operators.
import type { Graph, Value } from '../graph.js';
import { add, binary, clip, mul, scalar, sub, unary, where } from './elementwise.js';
import type { Lowerings } from './lowering.js';

/** λα and λ of self-normalising networks. */
const SELU = { alpha: 1.6732632423543772, gamma: 1.0507009873554805 };

/** 1 where x > 0, else 0: a line so steep, cut off at 0 and 1, that no normal float lies between. */
const step = (g: Graph, x: Value) =>
  unary(g, 'HardSigmoid', x, (v) => Number(v > 0), { alpha: { float: 3e38 }, beta: { float: 0 } });

const elu = (g: Graph, x: Value) =>
  unary(g, 'Elu', x, (v) => (v > 0 ? v : Math.expm1(v)), { alpha: { float: 1 } });
/**
 * log(1 + eˣ) = max(x, 0) + log(1 + e) with e = exp(−|x|): onnxruntime's Exp and Log take a quarter of the time of its
 * Softplus. What e loses when u = 1 + e is rounded, all of it where x < −17, is added again: log(1 + e) ≈ log u + e − (u − 1).
 */
function softplus(g: Graph, x: Value): Value {
  if (x.uniform !== undefined) return unary(g, 'Softplus', x, (v) => Math.log1p(Math.exp(v)));
  const one = scalar(g, 1);
  const e = unary(g, 'Exp', unary(g, 'Neg', unary(g, 'Abs', x)));
  const u = add(g, e, one);
  const lost = sub(g, e, sub(g, u, one));
  return add(g, relu(g, x), add(g, unary(g, 'Log', u), lost));
}
const relu = (g: Graph, x: Value) => unary(g, 'Relu', x, (v) => Math.max(v, 0));
const sigmoid = (g: Graph, x: Value) => unary(g, 'Sigmoid', x, (v) => 1 / (1 + Math.exp(-v)));
const leakyRelu = (g: Graph, x: Value, alpha: number) =>
  unary(g, 'LeakyRelu', x, (v) => (v > 0 ? v : alpha * v), { alpha: { float: alpha } });
const prelu = (g: Graph, x: Value, alpha: Value) => g.emit1('PRelu', [x, alpha], x.shape);

/** Attributes that the fused kernels of TensorFlow.js have for the function at their end. */
export interface Activation {
  activation?: string;
  leakyreluAlpha?: number;
}

/** @throws Error for a name that TensorFlow.js does not use */
export function activate(
  g: Graph,
  x: Value,
  { activation, leakyreluAlpha }: Activation,
  slope?: Value,
): Value {
  switch (activation ?? 'linear') {
    case 'linear':
      return x;
    case 'relu':
      return relu(g, x);
    case 'relu6':
      return clip(g, x, 0, 6);
    case 'elu':
      return elu(g, x);
    case 'sigmoid':
      return sigmoid(g, x);
    case 'leakyrelu':
      return leakyRelu(g, x, leakyreluAlpha ?? 0.2);
    case 'prelu':
      return prelu(g, x, slope!);
    default:
      throw new Error(`the activation ${activation} is not known`);
  }
}

export const activations: Lowerings = {
  Sigmoid: ({ g, inputs: { x } }) => sigmoid(g, x),
  Softplus: ({ g, inputs: { x } }) => softplus(g, x),
  Relu: ({ g, inputs: { x } }) => relu(g, x),
  Relu6: ({ g, inputs: { x } }) => clip(g, x, 0, 6),
  LeakyRelu: ({ g, inputs: { x }, attrs }) => leakyRelu(g, x, attrs.alpha),
  Prelu: ({ g, inputs: { x, alpha } }) => prelu(g, x, alpha),
  Selu: ({ g, inputs: { x } }) =>
    unary(g, 'Selu', x, undefined, { alpha: { float: SELU.alpha }, gamma: { float: SELU.gamma } }),
  Elu: ({ g, inputs: { x } }) => elu(g, x),
  // d elu / dx at output y is y + 1 below zero and 1 above, which is y + 1 cut off at 1.
  EluGrad: ({ g, inputs: { dy, y } }) =>
    mul(g, dy, unary(g, 'HardSigmoid', y, undefined, { alpha: { float: 1 }, beta: { float: 1 } })),
  Step: ({ g, inputs: { x }, attrs }) => {
    if (!attrs.alpha && x.dtype === 'float32') return step(g, x);
    const positive = binary(g, 'Greater', x, scalar(g, 0, x.dtype), (a, b) => Number(a > b), 'bool');
    return where(g, positive, scalar(g, 1, x.dtype), scalar(g, attrs.alpha, x.dtype));
  },

  // A kernel of the tracing backend alone, called by the gradient while a step is compiled; 0 ≤ alpha ≤ 1.
  LeakyReluGrad: ({ g, inputs: { dy, x }, attrs }) =>
    mul(g, dy, binary(g, 'Max', step(g, x), scalar(g, attrs.alpha), Math.max)),
};
