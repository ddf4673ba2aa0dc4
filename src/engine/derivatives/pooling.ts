// Gradients of pools. TensorFlow.js forgets the rounding mode in the gradients, and its `cpu` divides the gradient of a padded average by
// the whole window. An average over padding is the average of the padded image times window / pixels in the window.
import * as tf from '#tfjs';
import { type Attributes, gradient, type Pair, run, tracing } from './shared.js';

interface PoolAttributes {
  filterSize: number | Pair;
  strides: number | Pair;
  pad: 'valid' | 'same' | number;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

function averagePoolGradient(dy: tf.Tensor, x: tf.Tensor, attrs: Attributes): tf.Tensor {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as PoolAttributes;
  const [n, h, w, c] = x.shape;
  const info = tf.backend_util.computePool2DInfo([n, h, w, c], filterSize, strides, 1, pad, dimRoundingMode);
  const { top, left } = info.padInfo;
  // Rows and columns up to the end of the last window, which may lie before or behind the image's end.
  const height = Math.max((info.outHeight - 1) * info.strideHeight + info.filterHeight, top + h);
  const width = Math.max((info.outWidth - 1) * info.strideWidth + info.filterWidth, left + w);
  if (tracing() || (height === h && width === w)) return run('AvgPoolGrad', { dy, input: x }, attrs);
  const around: Pair[] = [
    [0, 0],
    [top, height - top - h],
    [left, width - left - w],
    [0, 0],
  ];
  const inside = tf.avgPool(
    tf.pad(tf.ones([1, h, w, 1]), around) as tf.Tensor4D,
    filterSize,
    strides,
    'valid',
  );
  const padded = run(
    'AvgPoolGrad',
    { dy: tf.div(dy, inside), input: tf.pad(x, around) },
    { filterSize, strides, pad: 'valid' },
  );
  return tf.slice(padded, [0, top, left, 0], [n, h, w, c]);
}

export const poolGradients: tf.GradConfig[] = [
  gradient('AvgPool', ['x'], (dy, [x], attrs) => ({ x: () => averagePoolGradient(dy, x, attrs) })),
  gradient('AvgPoolGrad', ['input'], (ddx, [input], attrs) => ({
    dy: () => run('AvgPool', { x: ddx }, attrs),
    input: () => tf.zerosLike(input),
  })),
  gradient(
    'MaxPool',
    ['x'],
    (dy, [input, output], attrs) => ({ x: () => run('MaxPoolGrad', { dy, input, output }, attrs) }),
    [true],
  ),
];
