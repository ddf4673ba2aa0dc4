// Convolutions on images whose channels lie in blocks: onnxruntime's fast kernels for the CPU, two to four times
// those for [n, c, h, w]. It takes them by itself only for filters that never change; here they are asked for by name.
// An image [n, c, h, w] in blocks of b is [n, c/b, h, w, b] in memory, a filter [o, i, kh, kw] is [o/b, i/b, kh, kw, b, b]
// (inputs, then outputs); shapes are written without blocks, as the operators of this domain have them.
import { type Graph, isConstant, type Value } from '../graph.js';

const DOMAIN = 'com.microsoft.nchwc:';

/** Most of a block that may be padding, as a factor of the work: beyond it the other kernels win. */
const MOST_WASTE = 1.5;

const roundUp = (n: number, block: number) => Math.ceil(n / block) * block;
const wasted = (n: number, block: number) => roundUp(n, block) / n;

type Four = readonly [number, number, number, number];
interface Window {
  kernel_shape: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
  /** Of the image: top, left, bottom, right. */
  pads: Four;
}

/** Whether the kernels in blocks are there, and pay for `inputs` and `outputs` channels of a filter that changes. */
export const paysInBlocks = (g: Graph, inputs: number, outputs: number, filter: Value): boolean =>
  g.channelBlock > 0 &&
  wasted(outputs, g.channelBlock) <= MOST_WASTE &&
  (inputs < g.channelBlock || wasted(inputs, g.channelBlock) <= MOST_WASTE) &&
  !isConstant(filter);

/**
 * The convolution of one group.
 * @param image [n, h, w, i]
 * @param filter [o, i, kh, kw]
 * @param shape [n, h', w', o] of the result
 */
export function convolveInBlocks(g: Graph, image: Value, filter: Value, shape: Four, window: Window): Value {
  const [n, h, w, o] = shape;
  const y = g.emit1(
    `${DOMAIN}Conv`,
    [imageInBlocks(g, image), filterInBlocks(g, filter)],
    [n, roundUp(o, g.channelBlock), h, w],
    { ...window, group: 1 },
  );
  return g.emit1(`${DOMAIN}ReorderOutput`, [y], shape, { channels: o, channels_last: 1 });
}

/**
 * What a convolution's filter has contributed: each channel of the image convolved with each channel of the output's
 * gradient, summed over the batch, which takes the place of input channels.
 * @param image [n, h, w, c]
 * @param gradient [n, oh, ow, o]
 * @param window kernel_shape is [oh, ow]
 * @param size [h', w'] of the result
 * @returns [c, o, h', w']
 */
export function correlateInBlocks(
  g: Graph,
  image: Value,
  gradient: Value,
  window: Window,
  [height, width]: readonly [number, number],
): Value {
  const b = g.channelBlock;
  const [n, h, w, c] = image.shape;
  const [, oh, ow, o] = gradient.shape;
  const batch = roundUp(n, b);
  const outputs = roundUp(o, b);
  // These few windows are as large as the image: they are computed together only where none of them is padding.
  const [top, left, bottom, right] = window.pads;
  const padded = growTo(g, image, [batch, h + top + bottom, w + left + right, c], [0, top, left, 0]);
  const planes = g.transpose(padded, [3, 0, 1, 2]); // [c, batch, h, w]
  const planesInBlocks = g.emit1(`${DOMAIN}ReorderInput`, [planes], planes.shape, { channels_last: 0 });
  // [batch, o/b, oh, ow, b], as the gradient for the image has it, too → [o/b, batch/b, oh · ow, b, b]
  const blocks = imageInBlocks(g, growTo(g, gradient, [n, oh, ow, outputs]));
  const whole = growTo(g, g.reshape(blocks, [n, outputs * oh * ow]), [batch, outputs * oh * ow]);
  const split = g.reshape(whole, [batch / b, b, (outputs / b) * oh * ow, b]);
  const byOutput = g.reshape(g.transpose(split, [0, 2, 1, 3]), [batch / b, outputs / b, oh * ow * b * b]);
  const filter = g.reshape(g.transpose(byOutput, [1, 0, 2]), [outputs, batch, oh, ow]);
  const y = g.emit1(`${DOMAIN}Conv`, [planesInBlocks, filter], [c, outputs, height, width], {
    ...window,
    pads: [0, 0, 0, 0],
    group: 1,
  });
  return g.emit1(`${DOMAIN}ReorderOutput`, [y], [c, o, height, width], { channels: o, channels_last: 0 });
}

/** The largest of each window, [n, h, w, c] → [n, h', w', c]; undefined where blocks do not pay. */
export function maxPoolInBlocks(g: Graph, image: Value, shape: Four, window: Window): Value | undefined {
  const channels = image.shape[3];
  if (g.channelBlock === 0 || channels < g.channelBlock || wasted(channels, g.channelBlock) > MOST_WASTE)
    return undefined;
  const [n, h, w] = shape;
  const y = g.emit1(
    `${DOMAIN}MaxPool`,
    [imageInBlocks(g, image)],
    [n, roundUp(channels, g.channelBlock), h, w],
    { ...window },
  );
  return g.emit1(`${DOMAIN}ReorderOutput`, [y], shape, { channels, channels_last: 1 });
}

/** An image of fewer channels than a block stays [n, c, h, w]: the kernel for it reads one channel after the other. */
function imageInBlocks(g: Graph, image: Value): Value {
  const [n, h, w, count] = image.shape;
  if (count < g.channelBlock) return g.transpose(image, [0, 3, 1, 2]);
  const whole = count % 4 === 0 ? count : roundUp(count, g.channelBlock); // ReorderInput fills up multiples of 4
  return g.emit1(
    `${DOMAIN}ReorderInput`,
    [growTo(g, image, [n, h, w, whole])],
    [n, roundUp(count, g.channelBlock), h, w],
    { channels_last: 1 },
  );
}

/** Blocks of a filter [o, i, kh, kw]. One axis moves at a time: onnxruntime has fast kernels for that. */
function filterInBlocks(g: Graph, filter: Value): Value {
  const b = g.channelBlock;
  const [o, i, h, w] = filter.shape;
  const outputs = roundUp(o, b);
  const inputs = i < b ? i : roundUp(i, b);
  const grown = growTo(g, filter, [outputs, inputs, h, w]);
  const outputsLast = g.transpose(g.reshape(grown, [outputs / b, b, inputs * h * w]), [0, 2, 1]);
  const blocks =
    i < b
      ? outputsLast
      : g.transpose(g.reshape(outputsLast, [((outputs / b) * inputs) / b, b, h * w, b]), [0, 2, 1, 3]);
  return g.reshape(blocks, [outputs, inputs, h, w]);
}

/** Zeros at the ends of axes. */
export function growTo(g: Graph, x: Value, shape: readonly number[], before = shape.map(() => 0)): Value {
  if (shape.every((size, i) => size === x.shape[i])) return x;
  const after = shape.map((size, i) => size - before[i] - x.shape[i]);
  return g.emit1('Pad', [x, g.int64([...before, ...after]), g.uniform(0, [], x.dtype)], shape);
}
