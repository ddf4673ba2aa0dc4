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
 * @param image [n, h, w, i], or with `channelsFirst` [n, i, h, w]
 * @param filter [o, i, kh, kw]
 * @param shape [n, o, h', w'] of the result
 * @returns [n, h', w', o], or with `channelsFirst` [n, o, h', w']
 */
export function convolveInBlocks(
  g: Graph,
  image: Value,
  filter: Value,
  shape: Four,
  window: Window,
  channelsFirst = false,
): Value {
  const [n, o, h, w] = shape;
  const channels = roundUp(o, g.channelBlock);
  const y = g.emit1(
    `${DOMAIN}Conv`,
    [imageInBlocks(g, image, channelsFirst), filterInBlocks(g, filter)],
    [n, channels, h, w],
    { ...window, group: 1 },
  );
  return g.emit1(`${DOMAIN}ReorderOutput`, [y], channelsFirst ? [n, o, h, w] : [n, h, w, o], {
    channels: o,
    channels_last: channelsFirst ? 0 : 1,
  });
}

/** The largest of each window, [n, h, w, c] → [n, h', w', c]; undefined where blocks do not pay. */
export function maxPoolInBlocks(g: Graph, image: Value, shape: Four, window: Window): Value | undefined {
  const channels = image.shape[3];
  if (g.channelBlock === 0 || channels % 4 !== 0 || wasted(channels, g.channelBlock) > MOST_WASTE)
    return undefined;
  const [n, h, w] = shape;
  const y = g.emit1(
    `${DOMAIN}MaxPool`,
    [imageInBlocks(g, image, false)],
    [n, roundUp(channels, g.channelBlock), h, w],
    { ...window },
  );
  return g.emit1(`${DOMAIN}ReorderOutput`, [y], shape, { channels, channels_last: 1 });
}

/** An image of fewer channels than a block stays [n, c, h, w]: the kernel for it reads one channel after the other. */
function imageInBlocks(g: Graph, image: Value, channelsFirst: boolean): Value {
  const axis = channelsFirst ? 1 : 3;
  const count = image.shape[axis];
  if (count < g.channelBlock) return channelsFirst ? image : g.transpose(image, [0, 3, 1, 2]);
  const whole = roundUp(count, count % 4 === 0 ? 4 : g.channelBlock); // ReorderInput fills up from multiples of 4
  const grown = growTo(
    g,
    image,
    image.shape.map((size, i) => (i === axis ? whole : size)),
  );
  const [n, h, w] = channelsFirst ? [0, 2, 3].map((i) => image.shape[i]) : image.shape;
  return g.emit1(`${DOMAIN}ReorderInput`, [grown], [n, roundUp(count, g.channelBlock), h, w], {
    channels_last: channelsFirst ? 0 : 1,
  });
}

function filterInBlocks(g: Graph, filter: Value): Value {
  const b = g.channelBlock;
  const [o, i, h, w] = filter.shape;
  const outputs = roundUp(o, b);
  if (i < b) {
    const grown = growTo(g, filter, [outputs, i, h, w]);
    const blocks = g.transpose(g.reshape(grown, [outputs / b, b, i, h, w]), [0, 2, 3, 4, 1]);
    return g.reshape(blocks, [outputs, i, h, w]);
  }
  const inputs = roundUp(i, b);
  const grown = growTo(g, filter, [outputs, inputs, h, w]);
  const blocks = g.transpose(g.reshape(grown, [outputs / b, b, inputs / b, b, h, w]), [0, 2, 4, 5, 3, 1]);
  return g.reshape(blocks, [outputs, inputs, h, w]);
}

/** Zeros at the ends of axes. */
export function growTo(g: Graph, x: Value, shape: readonly number[], before = shape.map(() => 0)): Value {
  if (shape.every((size, i) => size === x.shape[i])) return x;
  const after = shape.map((size, i) => size - before[i] - x.shape[i]);
  return g.emit1('Pad', [x, g.int64([...before, ...after]), g.uniform(0, [], x.dtype)], shape);
}
