// Grouped convolutions, which TensorFlow.js does not offer: one operator in a compiled step, a convolution per group
// on the other backends.
import * as tf from '#tfjs';
import { run, tracing } from './derivatives/shared.js';

/** Rows and columns of zeros around an image, before and after: tf.conv2d's explicit padding. */
export type ExplicitPadding = [[number, number], [number, number], [number, number], [number, number]];

/**
 * Each group of output channels sees one group of input channels: channels / filter.shape[2] groups.
 * @param x [n, h, w, channels]
 * @param filter [kh, kw, channels / groups, out]
 * @returns [n, oh, ow, out]
 * @throws Error when the groups do not divide the channels, input or output
 */
export function groupedConv2d(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  strides: number | [number, number],
  pad: 'valid' | 'same' | number | ExplicitPadding,
  dilations: number | [number, number] = 1,
): tf.Tensor4D {
  const channels = x.shape[3];
  const [, , perGroup, out] = filter.shape;
  const groups = channels / perGroup;
  if (!Number.isInteger(groups) || out % groups !== 0)
    throw new Error(
      `groupedConv2d: a filter of shape [${filter.shape}] makes no whole number of groups of ${channels} channels`,
    );
  if (groups === 1) return tf.conv2d(x, filter, strides, pad, 'NHWC', dilations) as tf.Tensor4D;
  if (tracing()) return run('Conv2D', { x, filter }, { strides, pad, dilations });
  const filters = tf.split(filter, groups, 3) as tf.Tensor4D[];
  const images = tf.split(x, groups, 3) as tf.Tensor4D[];
  return tf.concat(
    images.map((image, i) => tf.conv2d(image, filters[i], strides, pad, 'NHWC', dilations)),
    3,
  );
}
