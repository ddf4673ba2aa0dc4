// r(z|w) of a gated VAE: where the responsible components lie in z, and how large w is for them, each corrected by a
// network that starts by saying nothing (131).
import type { DiagonalNormal } from '../../distributions/normal.js';
import { f32, type Key, tf } from '../../engine/index.js';
import { stack, stackParameters } from '../dense-stack.js';
import { type Arrays, type KernelSize, kernelLength, type Tensors } from '../prior.js';
import { BANK, bankLogVolumes, scaleSpread } from './bank.js';
import type { Layout } from './layout.js';

const REGION = {
  mean: 'encoder.regionMean', // [C, l − 1]
  logStd: 'encoder.regionLogStd', // [C, l − 1]
} as const;

export interface EncoderSettings {
  latent: number;
  hidden: number;
  tails: number;
}

/** The encoder sees no values beyond this, in units of the data's scale: outliers would send it anywhere. */
const FAR = 20;
/** Nor log scales beyond this. */
const FAR_SCALE = 1.5;
/** So that what it sees of components and scales is about as large as pixels are. */
const GAIN = 3;
const LOG_STD_FLOOR = -4;

const network = (size: KernelSize, c: number, { latent, hidden }: EncoderSettings, key: Key): Arrays =>
  stackParameters('encoder', [kernelLength(size) + c + 1, hidden, 2 * latent], key);

/** The network, which says nothing yet. */
export function encoderNetwork(size: KernelSize, c: number, settings: EncoderSettings, key: Key): Arrays {
  const arrays = network(size, c, settings, key);
  const last = 'encoder.out.kernel';
  return { ...arrays, [last]: f32(arrays[last].shape) };
}

export const isRegion = (name: string): boolean => Object.values<string>(REGION).includes(name);

export function regionArrays({ means, logStds }: Layout): Arrays {
  const rows = (values: readonly Float64Array[]) =>
    f32([values.length, values[0].length], Float32Array.from(values.flatMap((row) => Array.from(row))));
  return { [REGION.mean]: rows(means), [REGION.logStd]: rows(logStds) };
}

export const encoderShapes = (
  size: KernelSize,
  c: number,
  settings: EncoderSettings,
): Record<string, readonly number[]> => ({
  ...Object.fromEntries(
    Object.entries(network(size, c, settings, [0, 0, 0, 1])).map(([name, { shape }]) => [name, shape]),
  ),
  [REGION.mean]: [c, settings.latent - 1],
  [REGION.logStd]: [c, settings.latent - 1],
});

/** @param x straightened kernels [n, d], y their coordinates [n, C, d] → [n, l] */
export function encode(
  parameters: Tensors,
  x: tf.Tensor,
  y: tf.Tensor,
  settings: EncoderSettings,
): DiagonalNormal {
  const d = x.shape.at(-1)!;
  const { tails } = settings;
  const squares = tf.div(tf.sum(tf.square(y), 2), d); // [n, C], 1 for a typical kernel of the component
  const logs = tf.sub(
    tf.add(parameters[BANK.logWeight], bankLogVolumes(parameters)),
    tf.mul(tf.log(tf.add(tf.mul(squares, d / tails), 1)), 0.5 * (tails + d)),
  );
  const shares = tf.softmax(logs); // γ_c(w), the responsibilities of t's
  const logScales = tf.mul(tf.log(tf.add(squares, 1e-6)), 0.5);
  const logScale = tf.clipByValue(tf.sum(tf.mul(shares, logScales), 1, true), -FAR_SCALE, FAR_SCALE); // [n, 1]
  const pixels = tf.clipByValue(tf.div(x, parameters.scale), -FAR, FAR);
  const input = tf.concat([pixels, tf.mul(shares, GAIN), tf.mul(logScale, GAIN)], 1) as tf.Tensor2D;
  const [shift, change] = tf.split(stack(parameters, 'encoder', input), 2, 1);
  // (131) of one component with s = e^{α z_l}, log s has about the precision 2d from w and 1/α² from p(z)
  const alpha = scaleSpread(tails);
  const precision = 2 * d * alpha ** 2 + 1;
  const size = tf.mul(logScale, (2 * d * alpha) / precision);
  const mean = tf.concat([tf.matMul(shares, parameters[REGION.mean]), size], 1);
  const width = tf.fill(size.shape as [number, number], -0.5 * Math.log(precision));
  const logStd = tf.concat([tf.matMul(shares, parameters[REGION.logStd]), width], 1);
  return { mean: tf.add(mean, shift), logStd: floorLogStd(tf.add(logStd, change)) };
}

const floorLogStd = (x: tf.Tensor) => tf.add(tf.softplus(tf.sub(x, LOG_STD_FLOOR)), LOG_STD_FLOOR);
