// The operators of ONNX that a graph of a prior may have, in TensorFlow.js operations that have gradients. Shapes are
// computed with numbers, everything else with tensors.
import { tf } from '../../engine/index.js';
import {
  attribute,
  axisOf,
  type Call,
  integers,
  listOf,
  type Operator,
  refuse,
  required,
  tensor,
} from './call.js';
import { convolution, transposedConvolution, withBias } from './convolution.js';
import { shapeOperators } from './shape.js';
import { type Integers, isIntegers, type Value } from './values.js';

const unary =
  (compute: (x: tf.Tensor, call: Call) => tf.Tensor): Operator =>
  (call) => [compute(tensor(call.inputs[0]), call)];

/** Whole numbers stay numbers. */
function binary(
  compute: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
  known?: (a: number, b: number) => number,
): Operator {
  const pair = (a: Value, b: Value): Value => {
    if (known && isIntegers(a) && isIntegers(b)) {
      const [long, size] =
        a.integers.length >= b.integers.length ? [a, a.integers.length] : [b, b.integers.length];
      const at = ({ integers: x }: Integers, i: number) =>
        x.length === 1 ? x[0] : x.length === size ? x[i] : refuse('lists of different lengths');
      return {
        shape: long.shape,
        integers: Array.from({ length: size }, (_, i) => known(at(a, i), at(b, i))),
      };
    }
    return compute(tensor(a), tensor(b));
  };
  return ({ inputs }) => [inputs.map(required).reduce(pair)];
}

const reduction =
  (compute: (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor): Operator =>
  (call) => {
    const x = tensor(call.inputs[0]);
    const given = listOf(call, 'axes', 1);
    if (!given?.length && attribute(call, 'noop_with_empty_axes', 0)) return [x];
    const axes = given?.length ? given.map((axis) => axisOf(axis, x.rank)) : x.shape.map((_, i) => i);
    return [compute(x, axes, attribute(call, 'keepdims', 1) !== 0)];
  };

const matMul: Operator = ({ inputs }) => {
  const [a, b] = [tensor(inputs[0]), tensor(inputs[1])];
  return [a.rank < 2 || b.rank < 2 ? refuse('a product of vectors') : tf.matMul(a, b)];
};

const gelu: Operator = (call) => {
  const x = tensor(call.inputs[0]);
  const cube = tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715));
  const inner =
    attribute(call, 'approximate', 'none') === 'tanh'
      ? tf.tanh(tf.mul(cube, Math.sqrt(2 / Math.PI)))
      : tf.erf(tf.mul(x, Math.SQRT1_2));
  return [tf.mul(tf.mul(x, 0.5), tf.add(inner, 1))];
};

/** Of inference: with the averages of the training. */
const batchNormalisation: Operator = (call) => {
  const x = tensor(call.inputs[0]);
  if (attribute(call, 'training_mode', 0)) return refuse('it is in training mode');
  const shape = x.shape.map((n, i) => (i === 1 ? n : 1));
  const [scale, bias, mean, variance] = call.inputs.slice(1, 5).map((v) => tf.reshape(tensor(v), shape));
  const std = tf.sqrt(tf.add(variance, attribute(call, 'epsilon', 1e-5)));
  return [tf.add(tf.mul(tf.div(tf.sub(x, mean), std), scale), bias)];
};

const layerNormalisation: Operator = (call) => {
  const [x, scale] = [tensor(call.inputs[0]), tensor(call.inputs[1])];
  const first = axisOf(attribute(call, 'axis', -1), x.rank);
  const axes = x.shape.map((_, i) => i).slice(first);
  const centred = tf.sub(x, tf.mean(x, axes, true));
  const std = tf.sqrt(tf.add(tf.mean(tf.square(centred), axes, true), attribute(call, 'epsilon', 1e-5)));
  return [withBias(tf.mul(tf.div(centred, std), scale), call.inputs[2])];
};

export const operators: Readonly<Record<string, Operator>> = {
  Abs: unary(tf.abs),
  Neg: unary(tf.neg),
  Exp: unary(tf.exp),
  Log: unary(tf.log),
  Sqrt: unary(tf.sqrt),
  Reciprocal: unary((x) => tf.div(1, x)),
  Erf: unary(tf.erf),
  Sign: unary(tf.sign),
  Tanh: unary(tf.tanh),
  Sigmoid: unary(tf.sigmoid),
  Softplus: unary(tf.softplus),
  Relu: unary(tf.relu),
  Elu: unary((x, call) => {
    const alpha = attribute(call, 'alpha', 1);
    if (alpha === 1) return tf.elu(x);
    return tf.add(tf.relu(x), tf.mul(tf.sub(tf.exp(tf.minimum(x, 0)), 1), alpha));
  }),
  LeakyRelu: unary((x, call) => tf.leakyRelu(x, attribute(call, 'alpha', 0.01))),
  Selu: unary((x, call) => {
    const [alpha, gamma] = [attribute(call, 'alpha', 1.6732632), attribute(call, 'gamma', 1.0507)];
    return tf.mul(tf.add(tf.relu(x), tf.mul(tf.sub(tf.exp(tf.minimum(x, 0)), 1), alpha)), gamma);
  }),
  Gelu: gelu,
  Identity: ({ inputs }) => [required(inputs[0])],
  Dropout: ({ inputs }) => [required(inputs[0])],
  Cast: (call) => {
    const x = required(call.inputs[0]);
    const to = attribute(call, 'to', 1);
    if (isIntegers(x)) return [[1, 10, 11].includes(to) ? tensor(x) : x];
    if ([1, 10, 11, 16].includes(to)) return [tf.cast(x, 'float32')];
    return [to === 9 ? tf.cast(x, 'bool') : tf.cast(x, 'int32')];
  },
  Add: binary(tf.add, (a, b) => a + b),
  Sub: binary(tf.sub, (a, b) => a - b),
  Mul: binary(tf.mul, (a, b) => a * b),
  Div: binary(tf.div, (a, b) => Math.trunc(a / b)),
  Pow: binary(tf.pow),
  Min: binary(tf.minimum, Math.min),
  Max: binary(tf.maximum, Math.max),
  Less: binary(tf.less),
  Equal: binary(tf.equal),
  Greater: binary(tf.greater),
  Where: ({ inputs }) => [tf.where(tensor(inputs[0]), tensor(inputs[1]), tensor(inputs[2]))],
  Clip: (call) => {
    const limit = (name: string, input: number): tf.Tensor | undefined =>
      call.inputs[input]
        ? tensor(call.inputs[input])
        : name in call.attributes
          ? tf.scalar(attribute(call, name, 0))
          : undefined;
    const [low, high] = [limit('min', 1), limit('max', 2)];
    let x = tensor(call.inputs[0]);
    if (low) x = tf.maximum(x, low);
    if (high) x = tf.minimum(x, high);
    return [x];
  },
  MatMul: matMul,
  Gemm: (call) => {
    const [a, b] = [tensor(call.inputs[0]), tensor(call.inputs[1])];
    const y = tf.matMul(a, b, attribute(call, 'transA', 0) !== 0, attribute(call, 'transB', 0) !== 0);
    const scaled = (x: tf.Tensor, factor: number) => (factor === 1 ? x : tf.mul(x, factor));
    const c = call.inputs[2] && scaled(tensor(call.inputs[2]), attribute(call, 'beta', 1));
    return [withBias(scaled(y, attribute(call, 'alpha', 1)), c)];
  },
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  BatchNormalization: batchNormalisation,
  LayerNormalization: layerNormalisation,
  Softmax: unary((x, call) => {
    const axis = axisOf(attribute(call, 'axis', -1), x.rank);
    return axis === x.rank - 1 ? tf.softmax(x) : tf.exp(tf.sub(x, tf.logSumExp(x, axis, true)));
  }),
  LogSoftmax: unary((x, call) =>
    tf.sub(x, tf.logSumExp(x, axisOf(attribute(call, 'axis', -1), x.rank), true)),
  ),
  ReduceSum: reduction((x, axes, keep) => tf.sum(x, axes, keep)),
  ReduceMean: reduction((x, axes, keep) => tf.mean(x, axes, keep)),
  ReduceMax: reduction((x, axes, keep) => tf.max(x, axes, keep)),
  ReduceMin: reduction((x, axes, keep) => tf.min(x, axes, keep)),
  ReduceLogSumExp: reduction((x, axes, keep) => tf.logSumExp(x, axes, keep)),
  CumSum: (call) => {
    const x = tensor(call.inputs[0]);
    const axis = axisOf(integers(call.inputs[1])?.[0] ?? 0, x.rank);
    return [tf.cumsum(x, axis, attribute(call, 'exclusive', 0) !== 0, attribute(call, 'reverse', 0) !== 0)];
  },
  ...shapeOperators,
};
