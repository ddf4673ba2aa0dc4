// Gradients of convolutions. TensorFlow.js stops at dilations. A convolution with dilation d is one without, of a filter
// with d − 1 rows of zeros between its rows: its gradients are those of that convolution.
import * as tf from '#tfjs';
import { type Attributes, gradient, type Pair, run, tracing } from './shared.js';

const pair = (given: unknown): Pair => {
  const value = (given ?? 1) as number | number[];
  return typeof value === 'number' ? [value, value] : [value[0], value[1] ?? value[0]];
};

/** [kh, kw, ..] → [(kh − 1) dh + 1, (kw − 1) dw + 1, ..], zeros between */
function interleaveZeros(filter: tf.Tensor, [dh, dw]: Pair): tf.Tensor {
  const [kh, kw, ...rest] = filter.shape;
  const depth = rest.reduce((a, b) => a * b, 1);
  const padded = tf.pad(tf.reshape(filter, [kh, 1, kw, 1, depth]), [
    [0, 0],
    [0, dh - 1],
    [0, 0],
    [0, dw - 1],
    [0, 0],
  ]);
  const size = [(kh - 1) * dh + 1, (kw - 1) * dw + 1];
  return tf.slice(tf.reshape(padded, [kh * dh, kw * dw, ...rest]), [0, 0], size);
}

/** The elements that {@link interleaveZeros} kept. */
function dropInterleaved(filter: tf.Tensor, [dh, dw]: Pair): tf.Tensor {
  const [fullHeight, fullWidth, ...rest] = filter.shape;
  const [kh, kw] = [(fullHeight - 1) / dh + 1, (fullWidth - 1) / dw + 1];
  const depth = rest.reduce((a, b) => a * b, 1);
  const none = rest.map((): Pair => [0, 0]);
  const grown = tf.pad(filter, [[0, dh - 1], [0, dw - 1], ...none]);
  const cells = tf.reshape(grown, [kh, dh, kw, dw, depth]);
  return tf.reshape(tf.slice(cells, [0, 0, 0, 0, 0], [kh, 1, kw, 1, depth]), [kh, kw, ...rest]);
}

/** ∂/∂x of the convolution `kernel` of an image of `inputShape`, given ∂/∂y. */
function imageGradient(
  kernel: string,
  dy: tf.Tensor,
  filter: tf.Tensor,
  inputShape: number[],
  attrs: Attributes,
) {
  const dilations = pair(attrs.dilations);
  if (tracing() || (dilations[0] === 1 && dilations[1] === 1))
    return run(`${kernel}BackpropInput`, { dy, filter }, { ...attrs, inputShape, dilations });
  return run(
    `${kernel}BackpropInput`,
    { dy, filter: interleaveZeros(filter, dilations) },
    { ...attrs, inputShape, dilations: [1, 1] },
  );
}

/** ∂/∂filter of the convolution `kernel` with a filter of `filterShape`, given ∂/∂y. */
function filterGradient(
  kernel: string,
  dy: tf.Tensor,
  x: tf.Tensor,
  filterShape: number[],
  attrs: Attributes,
) {
  const dilations = pair(attrs.dilations);
  const [dh, dw] = dilations;
  if (tracing() || (dh === 1 && dw === 1))
    return run(`${kernel}BackpropFilter`, { x, dy }, { ...attrs, filterShape, dilations });
  const [kh, kw, ...rest] = filterShape;
  const spread = [(kh - 1) * dh + 1, (kw - 1) * dw + 1, ...rest];
  return dropInterleaved(
    run(`${kernel}BackpropFilter`, { x, dy }, { ...attrs, filterShape: spread, dilations: [1, 1] }),
    dilations,
  );
}

const forward = (kernel: string, x: tf.Tensor, filter: tf.Tensor, attrs: Attributes) =>
  run(kernel, { x, filter }, { ...attrs, dilations: pair(attrs.dilations) });

// A transposed convolution is the gradient of a convolution with respect to its image. Linear in both of its inputs,
// it has that convolution and that convolution's other gradient as gradients; likewise the third.
export const convolutionGradients: tf.GradConfig[] = ['Conv2D', 'DepthwiseConv2dNative'].flatMap((kernel) => [
  gradient(kernel, ['x', 'filter'], (dy, [x, filter], attrs) => ({
    x: () => imageGradient(kernel, dy, filter, x.shape, attrs),
    filter: () => filterGradient(kernel, dy, x, filter.shape, attrs),
  })),
  gradient(`${kernel}BackpropInput`, ['dy', 'filter'], (ddx, [dy, filter], attrs) => ({
    dy: () => forward(kernel, ddx, filter, attrs),
    filter: () => filterGradient(kernel, dy, ddx, filter.shape, attrs),
  })),
  gradient(`${kernel}BackpropFilter`, ['x', 'dy'], (ddw, [x, dy], attrs) => ({
    x: () => imageGradient(kernel, dy, ddw, x.shape, attrs),
    dy: () => forward(kernel, x, ddw, attrs),
  })),
]);
