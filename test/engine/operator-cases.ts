// Every compiled operator with inputs for it, and a scalar of its result.
import { type NdArray, tf } from '../../src/engine/index.js';
import { normal, positive } from './reference.js';

export type Tensors = Record<string, tf.Tensor>;
export interface Case {
  inputs: Record<string, NdArray>;
  f: (x: Tensors) => tf.Tensor;
  /** Set where there is no gradient to compare. */
  noGradient?: boolean;
}

export const x = normal(1, 3, 4);
const y = normal(2, 3, 4);
const p = positive(3, 3, 4);
export const row = normal(4, 4);
const image = normal(5, 2, 7, 6, 3);
const filter = normal(6, 3, 2, 3, 4);
const t4 = (a: tf.Tensor) => a as tf.Tensor4D;

const unaryCases: Record<string, (a: tf.Tensor) => tf.Tensor> = {
  neg: tf.neg,
  abs: tf.abs,
  exp: tf.exp,
  square: tf.square,
  sigmoid: tf.sigmoid,
  tanh: tf.tanh,
  softplus: tf.softplus,
  relu: tf.relu,
  elu: tf.elu,
  sin: tf.sin,
  cos: tf.cos,
  erf: tf.erf,
  expm1: tf.expm1,
  leakyRelu: (a) => tf.leakyRelu(a, 0.1),
  relu6: (a) => tf.relu6(tf.mul(a, 5)),
  clip: (a) => tf.clipByValue(a, -0.5, 0.7),
  reshape: (a) => tf.reshape(a, [2, 6]),
  transpose: (a) => tf.transpose(a),
  slice: (a) => tf.slice(a, [1, 0], [2, 3]),
  pad: (a) =>
    tf.pad(a, [
      [1, 0],
      [0, 2],
    ]),
  tile: (a) => tf.tile(a, [2, 3]),
  reverse: (a) => tf.reverse(a, 1),
  split: (a) => tf.split(a, [1, 3], 1)[1],
  unstack: (a) => tf.unstack(a, 1)[2],
  stack: (a) => tf.stack([a, tf.mul(a, 2)], 1),
  concat: (a) => tf.concat([a, tf.square(a)], 1),
  gather: (a) => tf.gather(a, tf.tensor1d([2, 0, 2], 'int32')),
  sumAll: (a) => tf.sum(a),
  sumRows: (a) => tf.sum(a, 1),
  sumKeep: (a) => tf.sum(a, 0, true),
  mean: (a) => tf.mean(a, 0),
  max: (a) => tf.max(a, 1),
  min: (a) => tf.min(a, 1),
  cumsum: (a) => tf.cumsum(a, 1),
  cumsumRows: (a) => tf.cumsum(a, 0, true),
  cumprod: (a) => tf.cumprod(a, 1),
  prod: (a) => tf.prod(a, 1),
  stridedSlice: (a) => tf.stridedSlice(a, [2, 1], [-4, 4], [-2, 2]),
  mirrorPad: (a) =>
    tf.mirrorPad(
      a,
      [
        [1, 2],
        [3, 0],
      ],
      'reflect',
    ),
  topk: (a) => tf.topk(a, 2).values,
  einsum: (a) => tf.einsum('ij,kj->ik', a, tf.square(a)),
  gatherBatch: (a) => tf.gather(a, tf.tensor2d([0, 3, 1, 1, 2, 0], [3, 2], 'int32'), 1, 1),
  gatherND: (a) => tf.gatherND(a, tf.tensor2d([0, 1, 2, 3, 0, 1], [3, 2], 'int32')),
  whereLess: (a) => tf.where(tf.less(a, 0.3), tf.square(a), a),
  selu: tf.selu,
  depthToSpace: (a) => tf.depthToSpace(tf.reshape(a, [1, 1, 3, 4]) as tf.Tensor4D, 2),
  batchNorm: (a) => tf.batchNorm(a, tf.mean(a, 0), tf.add(tf.square(tf.mean(a, 0)), 0.5)),
  resizeBilinear: (a) =>
    tf.image.resizeBilinear(tf.reshape(a, [1, 3, 4, 1]) as tf.Tensor4D, [5, 3], false, true),
  logSumExp: (a) => tf.logSumExp(a, 1),
  softmax: (a) => tf.softmax(a),
  logSoftmax: (a) => tf.logSoftmax(a),
  expandDims: (a) => tf.expandDims(a, 1),
  broadcastTo: (a) => tf.broadcastTo(tf.expandDims(a, 0), [5, 3, 4]),
  uniformOperands: (a) => tf.add(tf.mul(a, tf.ones([3, 4])), tf.zeros([2, 3, 4])),
};

const positiveCases: Record<string, (a: tf.Tensor) => tf.Tensor> = {
  log: tf.log,
  log1p: tf.log1p,
  sqrt: tf.sqrt,
  rsqrt: tf.rsqrt,
  reciprocal: tf.reciprocal,
  pow: (a) => tf.pow(a, 2.5),
};

const binaryCases: Record<string, (a: tf.Tensor, b: tf.Tensor) => tf.Tensor> = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  maximum: tf.maximum,
  minimum: tf.minimum,
  squaredDifference: tf.squaredDifference,
  where: (a, b) => tf.where(tf.tensor2d([1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1], [3, 4], 'bool'), a, b),
};

const poolCases: Record<string, (a: tf.Tensor) => tf.Tensor> = {
  maxPool: (a) => tf.maxPool(t4(a), 2, 2, 'valid'),
  maxPoolSame: (a) => tf.maxPool(t4(a), 2, 2, 'same'),
  maxPoolOverlapping: (a) => tf.maxPool(t4(a), 3, 2, 'valid'),
  maxPoolOverlappingSame: (a) => tf.maxPool(t4(a), 3, 1, 'same'),
  avgPool: (a) => tf.avgPool(t4(a), 2, 2, 'valid'),
  avgPoolSame: (a) => tf.avgPool(t4(a), 3, 2, 'same'),
  avgPoolOverlapping: (a) => tf.avgPool(t4(a), [3, 2], [2, 1], 'valid'),
};

const convolutionCases: Record<string, (a: tf.Tensor, w: tf.Tensor) => tf.Tensor> = {
  valid: (a, w) => tf.conv2d(t4(a), t4(w), 1, 'valid'),
  same: (a, w) => tf.conv2d(t4(a), t4(w), 1, 'same'),
  strided: (a, w) => tf.conv2d(t4(a), t4(w), 2, 'valid'),
  stridedSame: (a, w) => tf.conv2d(t4(a), t4(w), [2, 3], 'same'),
};

export const cases: Record<string, Case> = {
  ...Object.fromEntries(
    Object.entries(unaryCases).map(([name, f]) => [name, { inputs: { x }, f: ({ x }: Tensors) => f(x) }]),
  ),
  ...Object.fromEntries(
    Object.entries(positiveCases).map(([name, f]) => [name, { inputs: { p }, f: ({ p }: Tensors) => f(p) }]),
  ),
  ...Object.fromEntries(
    Object.entries(binaryCases).map(([name, f]) => [
      name,
      { inputs: { x, y }, f: ({ x, y }: Tensors) => f(x, y) },
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(binaryCases).map(([name, f]) => [
      `${name} broadcast`,
      { inputs: { x, row }, f: ({ x, row }: Tensors) => f(row, x) },
    ]),
  ),
  div: { inputs: { x, p }, f: ({ x, p }) => tf.div(x, p) },
  'div broadcast': { inputs: { row, p }, f: ({ row, p }) => tf.div(row, p) },
  matMul: { inputs: { x, y }, f: ({ x, y }) => tf.matMul(x as tf.Tensor2D, y as tf.Tensor2D, false, true) },
  'matMul transposed': {
    inputs: { x, y },
    f: ({ x, y }) => tf.matMul(x as tf.Tensor2D, y as tf.Tensor2D, true, false),
  },
  'matMul batched': {
    inputs: { a: normal(7, 2, 3, 4), b: normal(8, 2, 4, 5) },
    f: ({ a, b }) => tf.matMul(a, b),
  },
  'matMul, batch broadcast': {
    inputs: { a: normal(7, 1, 3, 4), b: normal(8, 2, 4, 5) },
    f: ({ a, b }) => tf.matMul(a, b),
  },
  'batchNorm of five inputs': {
    inputs: {
      image,
      mean: normal(10, 3),
      variance: positive(11, 3),
      offset: normal(12, 3),
      scale: normal(13, 3),
    },
    f: ({ image, mean, variance, offset, scale }) => tf.batchNorm(image, mean, variance, offset, scale),
  },
  scatterND: {
    inputs: { x },
    f: ({ x }) => tf.scatterND(tf.tensor2d([[1], [3], [1]], [3, 1], 'int32'), x, [4, 4]),
  },
  tensorScatterUpdate: {
    inputs: { x, row },
    f: ({ x, row }) =>
      tf.tensorScatterUpdate(tf.add(x, 0), tf.tensor2d([[1]], [1, 1], 'int32'), tf.expandDims(row, 0)),
  },
  diag: { inputs: { row }, f: ({ row }) => tf.diag(row) },
  depthwiseDilated: {
    inputs: { image, w: normal(14, 2, 2, 3, 2) },
    f: ({ image, w }) => tf.depthwiseConv2d(t4(image), t4(w), 1, 'same', 'NHWC', 2),
  },
  conv2dTranspose: {
    inputs: { image, w: normal(15, 3, 3, 2, 3) },
    f: ({ image, w }) => tf.conv2dTranspose(t4(image), t4(w), [2, 14, 12, 2], 2, 'same'),
  },
  localResponse: {
    inputs: { image },
    f: ({ image }) => tf.localResponseNormalization(t4(image), 1, 1, 0.3, 0.75),
  },
  sigmoidCrossEntropy: {
    inputs: { p, x },
    f: ({ p, x }) => tf.losses.sigmoidCrossEntropy(p, x, undefined, 0, tf.Reduction.NONE),
  },
  softmaxCrossEntropy: {
    inputs: { p, x },
    f: ({ p, x }) => tf.losses.softmaxCrossEntropy(p, x, undefined, 0, tf.Reduction.NONE),
  },
  ...Object.fromEntries(
    Object.entries(poolCases).map(([name, f]) => [
      name,
      { inputs: { image }, f: ({ image }: Tensors) => f(image) },
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(convolutionCases).map(([name, f]) => [
      `conv2d ${name}`,
      { inputs: { image, filter }, f: ({ image, filter }: Tensors) => f(image, filter) },
    ]),
  ),
  'conv2d 1×1': {
    inputs: { image, w: normal(9, 1, 1, 3, 5) },
    f: ({ image, w }) => tf.conv2d(t4(image), t4(w), 1, 'valid'),
  },
  'conv2d dilated': {
    inputs: { image, w: normal(9, 2, 2, 3, 5) },
    f: ({ image, w }) => tf.conv2d(t4(image), t4(w), 1, 'valid', 'NHWC', 2),
  },
  'arithmetic per channel': {
    inputs: { a: normal(70, 2, 8, 16, 12), b: positive(71, 12) },
    f: ({ a, b }) => tf.div(tf.sub(tf.mul(tf.add(a, b), b), b), tf.exp(b)),
  },
  'arithmetic per channel, of a higher rank': {
    inputs: { a: normal(75, 8, 16, 12), b: positive(76, 1, 1, 1, 12) },
    f: ({ a, b }) => tf.mul(a, b),
  },
  oneHot: { inputs: { x }, f: ({ x }) => tf.mul(x, tf.oneHot(tf.tensor1d([1, 3, 0], 'int32'), 4)) },
  comparisons: {
    inputs: { x, y },
    f: ({ x, y }) =>
      tf.add(
        tf.cast(tf.logicalAnd(tf.less(x, y), tf.notEqual(x, 0)), 'float32'),
        tf.cast(tf.logicalOr(tf.greaterEqual(x, y), tf.lessEqual(x, -1)), 'float32'),
      ),
    noGradient: true,
  },
  argMax: { inputs: { x }, f: ({ x }) => tf.argMax(x, 1), noGradient: true },
  rounding: {
    inputs: { x },
    f: ({ x }) => tf.add(tf.add(tf.floor(x), tf.ceil(x)), tf.sign(x)),
    noGradient: true,
  },
};

/** Σ f(x)·c with fixed coefficients c, so that every element of the gradient is tested on its own. */
export const objective =
  (f: Case['f']) =>
  (inputs: Tensors): { objective: tf.Scalar; aux: { value: tf.Tensor } } => {
    const value = f(inputs);
    const coefficients = tf.tensor(
      Array.from({ length: value.size }, (_, i) => Math.cos(i + 1)),
      value.shape,
    );
    return { objective: tf.sum(tf.mul(value, coefficients)) as tf.Scalar, aux: { value } };
  };
