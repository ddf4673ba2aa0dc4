// The operators of ONNX that a graph of a prior may have, in TensorFlow.js operations that have gradients. Shapes are
// computed with numbers, everything else with tensors.
import { groupedConv2d, sizeOf, tf } from '../../engine/index.js';
import { type Integers, isIntegers, type Value } from './values.js';

export interface Call {
  inputs: readonly (Value | undefined)[];
  attributes: Readonly<Record<string, number | string | readonly number[]>>;
  /** Results that are asked for. */
  count: number;
}
export type Operator = (call: Call) => readonly Value[];

const refuse = (why: string): never => {
  throw new Error(why);
};
const required = (value: Value | undefined): Value => value ?? refuse('an input is missing');
const tensor = (value: Value | undefined): tf.Tensor => {
  const given = required(value);
  return isIntegers(given) ? tf.tensor([...given.integers], [...given.shape]) : given;
};
const integers = (value: Value | undefined): readonly number[] | undefined => {
  if (value === undefined) return undefined;
  return isIntegers(value) ? value.integers : refuse('a shape or axis depends on values');
};
const listed = (...values: number[]): Integers => ({ shape: [values.length], integers: values });

function attribute(call: Call, name: string, or: string): string;
function attribute(call: Call, name: string, or: number): number;
function attribute(call: Call, name: string, or: number | string): number | string | readonly number[] {
  const found = call.attributes[name] ?? or;
  return typeof found === typeof or ? found : refuse(`attribute ${name} is of another type`);
}
const list = (call: Call, name: string): readonly number[] | undefined => {
  const found = call.attributes[name];
  return found === undefined || Array.isArray(found) ? found : refuse(`attribute ${name} is no list`);
};
/** Axes or lengths: an attribute before some opset, an input since. */
const listOf = (call: Call, name: string, input: number) => list(call, name) ?? integers(call.inputs[input]);
const axisOf = (axis: number, rank: number): number => {
  const positive = axis < 0 ? axis + rank : axis;
  return Number.isInteger(positive) && positive >= 0 && positive < rank
    ? positive
    : refuse(`axis ${axis} of ${rank}`);
};

const unary =
  (of: (x: tf.Tensor, call: Call) => tf.Tensor): Operator =>
  (call) => [of(tensor(call.inputs[0]), call)];

/** Whole numbers stay numbers. */
function binary(
  of: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
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
    return of(tensor(a), tensor(b));
  };
  return ({ inputs }) => [inputs.map(required).reduce(pair)];
}

const reduction =
  (of: (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor): Operator =>
  (call) => {
    const x = tensor(call.inputs[0]);
    const given = listOf(call, 'axes', 1);
    if (!given?.length && attribute(call, 'noop_with_empty_axes', 0)) return [x];
    const axes = given?.length ? given.map((axis) => axisOf(axis, x.rank)) : x.shape.map((_, i) => i);
    return [of(x, axes, attribute(call, 'keepdims', 1) !== 0)];
  };

const reshape = (x: Value, shape: readonly number[]): Value =>
  isIntegers(x) ? { shape, integers: x.integers } : tf.reshape(x, [...shape]);
const fits = (x: Value, shape: readonly number[]) =>
  sizeOf(shape) === sizeOf(x.shape) ? shape : refuse(`[${x.shape}] has no shape [${shape}]`);

/** Steps through one axis. */
function sliced(x: Value, axis: number, start: number, end: number, step: number): Value {
  const length = x.shape[axis];
  if (step !== 1) return refuse(`a step of ${step}`);
  const clamp = (i: number) => Math.min(length, Math.max(0, i < 0 ? i + length : i));
  const [from, to] = [clamp(start), clamp(end)];
  if (to < from) return refuse(`an empty slice from ${start} to ${end}`);
  if (isIntegers(x))
    return x.shape.length === 1 ? listed(...x.integers.slice(from, to)) : refuse('a slice of a table');
  const begin = x.shape.map((_, i) => (i === axis ? from : 0));
  return tf.slice(
    x,
    begin,
    x.shape.map((n, i) => (i === axis ? to - from : n)),
  );
}

interface Window {
  strides: [number, number];
  dilations: [number, number];
  /** Top, left, bottom, right; or as small as a result of the image's size needs. */
  pads: readonly number[] | 'same';
  group: number;
}
function windowOf(call: Call, x: tf.Tensor, filter: tf.Tensor): Window {
  if (x.rank !== 4 || filter.rank !== 4)
    return refuse(`only 2-D convolutions are read, not [${filter.shape}]`);
  const two = (name: string): [number, number] => {
    const [a = 1, b = 1, ...more] = list(call, name) ?? [];
    return more.length === 0 && a >= 1 && b >= 1 ? [a, b] : refuse(`attribute ${name}`);
  };
  const auto = attribute(call, 'auto_pad', 'NOTSET');
  const pads = list(call, 'pads') ?? [0, 0, 0, 0];
  if (!['NOTSET', 'VALID', 'SAME_UPPER', ''].includes(auto)) return refuse(`auto_pad ${auto}`);
  if (pads.length !== 4 || pads.some((p) => !(p >= 0))) return refuse(`pads ${pads}`);
  return {
    strides: two('strides'),
    dilations: two('dilations'),
    pads: auto === 'SAME_UPPER' ? 'same' : auto === 'VALID' ? [0, 0, 0, 0] : pads,
    group: attribute(call, 'group', 1),
  };
}
const nhwc = (x: tf.Tensor) => tf.transpose(x, [0, 2, 3, 1]) as tf.Tensor4D;
const nchw = (x: tf.Tensor) => tf.transpose(x, [0, 3, 1, 2]);
const withBias = (y: tf.Tensor, bias: Value | undefined) => (bias ? tf.add(y, tensor(bias)) : y);

const convolution: Operator = (call) => {
  const [x, filter] = [tensor(call.inputs[0]), tensor(call.inputs[1])];
  const { strides, dilations, pads, group } = windowOf(call, x, filter);
  if (x.shape[1] !== filter.shape[1]! * group) return refuse(`${group} groups of ${x.shape[1]} channels`);
  const hwio = tf.transpose(filter, [2, 3, 1, 0]) as tf.Tensor4D;
  const image = pads === 'same' ? nhwc(x) : (tf.pad(nhwc(x), margins(pads)) as tf.Tensor4D);
  const y = groupedConv2d(image, hwio, strides, pads === 'same' ? 'same' : 'valid', dilations);
  return [nchw(withBias(y, call.inputs[2]))];
};
const margins = ([top, left, bottom, right]: readonly number[]): [number, number][] => [
  [0, 0],
  [top, bottom],
  [left, right],
  [0, 0],
];

/** All that filters paint, cut by the pads; what `output_padding` adds beyond it is empty. */
const transposedConvolution: Operator = (call) => {
  const [x, filter] = [tensor(call.inputs[0]), tensor(call.inputs[1])];
  const { strides, dilations, pads, group } = windowOf(call, x, filter);
  if (group !== 1 || dilations.some((d) => d !== 1) || pads === 'same' || list(call, 'output_shape'))
    return refuse('groups, dilations, auto_pad and output_shape are not read');
  const [m, , h, w] = x.shape;
  const [, out, kh, kw] = filter.shape as number[];
  const whole = [(h! - 1) * strides[0] + kh, (w! - 1) * strides[1] + kw];
  const [top, left, bottom, right] = pads;
  const [extraH = 0, extraW = 0] = list(call, 'output_padding') ?? [];
  const full = tf.conv2dTranspose(
    nhwc(x),
    tf.transpose(filter, [2, 3, 1, 0]) as tf.Tensor4D,
    [m, whole[0], whole[1], out],
    strides,
    'valid',
  );
  const grown = extraH || extraW ? tf.pad(full, margins([0, 0, extraH, extraW])) : full;
  const size = [m, whole[0] - top - bottom + extraH, whole[1] - left - right + extraW, out];
  return [nchw(withBias(tf.slice(grown, [0, top, left, 0], size), call.inputs[2]))];
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
  Shape: (call) => {
    const { shape } = required(call.inputs[0]);
    const end = call.attributes.end === undefined ? shape.length : attribute(call, 'end', 0);
    return [listed(...shape.slice(attribute(call, 'start', 0), end))];
  },
  Reshape: (call) => {
    const x = required(call.inputs[0]);
    const target = listOf(call, 'shape', 1) ?? refuse('no shape');
    const zero = attribute(call, 'allowzero', 0) !== 0;
    const shape = target.map((n, i) => (n === 0 && !zero ? x.shape[i] : n));
    const known = sizeOf(shape.filter((n) => n !== -1));
    return [
      reshape(
        x,
        fits(
          x,
          shape.map((n) => (n === -1 ? sizeOf(x.shape) / known : n)),
        ),
      ),
    ];
  },
  Flatten: (call) => {
    const x = required(call.inputs[0]);
    const given = attribute(call, 'axis', 1);
    const axis = given < 0 ? given + x.shape.length : given;
    return [reshape(x, fits(x, [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))]))];
  },
  Squeeze: (call) => {
    const x = required(call.inputs[0]);
    const axes = listOf(call, 'axes', 1)?.map((axis) => axisOf(axis, x.shape.length));
    return [
      reshape(
        x,
        fits(
          x,
          x.shape.filter((n, i) => (axes ? !axes.includes(i) : n !== 1)),
        ),
      ),
    ];
  },
  Unsqueeze: (call) => {
    const x = required(call.inputs[0]);
    const given = listOf(call, 'axes', 1) ?? refuse('no axes');
    const rank = x.shape.length + given.length;
    const axes = given.map((axis) => axisOf(axis, rank));
    const rest = [...x.shape];
    return [
      reshape(
        x,
        fits(
          x,
          Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : rest.shift()!)),
        ),
      ),
    ];
  },
  Transpose: unary((x, call) => {
    const perm = list(call, 'perm') ?? x.shape.map((_, i) => x.rank - 1 - i);
    return tf.transpose(x, [...perm]);
  }),
  Concat: (call) => {
    const values = call.inputs.map(required);
    if (values.every(isIntegers)) return [listed(...values.flatMap(({ integers }) => [...integers]))];
    const tensors = values.map(tensor);
    return [tf.concat(tensors, axisOf(attribute(call, 'axis', 0), tensors[0].rank))];
  },
  Slice: (call) => {
    const x = required(call.inputs[0]);
    const [starts = [], ends = []] = [listOf(call, 'starts', 1), listOf(call, 'ends', 2)];
    const axes = listOf(call, 'axes', 3) ?? starts.map((_, i) => i);
    const steps = integers(call.inputs[4]) ?? starts.map(() => 1);
    return [
      axes.reduce<Value>(
        (y, axis, i) => sliced(y, axisOf(axis, y.shape.length), starts[i], ends[i], steps[i]),
        x,
      ),
    ];
  },
  Split: (call) => {
    const x = tensor(call.inputs[0]);
    const axis = axisOf(attribute(call, 'axis', 0), x.rank);
    const length = x.shape[axis];
    const each = Math.ceil(length / call.count);
    const sizes =
      listOf(call, 'split', 1) ??
      Array.from({ length: call.count }, (_, i) => Math.min(each, length - i * each));
    return tf.split(x, [...sizes], axis);
  },
  Gather: (call) => {
    const [x, at] = [required(call.inputs[0]), required(call.inputs[1])];
    const axis = axisOf(attribute(call, 'axis', 0), x.shape.length);
    if (!isIntegers(at)) return [tf.gather(tensor(x), tf.cast(at, 'int32'), axis)];
    const places = at.integers.map((i) => axisOf(i, x.shape[axis]));
    if (isIntegers(x)) return [{ shape: at.shape, integers: places.map((i) => x.integers[i]) }];
    const rows = tf.gather(x, tf.tensor1d(places, 'int32'), axis);
    return [tf.reshape(rows, [...x.shape.slice(0, axis), ...at.shape, ...x.shape.slice(axis + 1)])];
  },
  Expand: (call) => {
    const x = tensor(call.inputs[0]);
    const shape = integers(call.inputs[1]) ?? refuse('no shape');
    return [tf.broadcastTo(x, tf.broadcast_util.assertAndGetBroadcastShape(x.shape, [...shape]))];
  },
  ConstantOfShape: (call) => {
    const shape = integers(call.inputs[0]) ?? refuse('no shape');
    if (!(sizeOf(shape) <= 2 ** 28)) return refuse(`a shape of [${shape}]`);
    const [value = 0] = list(call, 'value') ?? [];
    return [tf.fill([...shape], value)];
  },
};
