// A normalising flow of coupling layers (RealNVP, Dinh et al. 2017) on whitened kernels: one half of the coordinates
// scales and shifts the other, in turns. In the end every coordinate has a scale and a shift. All start as the identity,
// and so the flow at the full Gaussian.
import { z } from 'zod';
import { logStandardDensity } from '../distributions/normal.js';
import { f32, foldIn, spec, tf } from '../engine/index.js';
import { stack, stackParameters } from './dense-stack.js';
import { wholeNumber } from './fields.js';
import { gaussian, gaussianNumbers } from './gaussian.js';
import { requirePositive, requireShapes } from './parameters.js';
import { type Arrays, kernelLength, numbersIn, type PriorFamily, type Tensors } from './prior.js';

const config = z.object({
  layers: wholeNumber(1, 64).default(6).describe('number of coupling layers'),
  hidden: wholeNumber(1, 4096).default(64).describe('width of the hidden layers'),
});
type Config = z.infer<typeof config>;

/** Coordinates that a layer reads, and those that it moves; the halves take turns. A single value has no halves. */
const halves = (d: number, layer: number): [read: number, moved: number] =>
  layer % 2 === 0 ? [Math.floor(d / 2), Math.ceil(d / 2)] : [Math.ceil(d / 2), Math.floor(d / 2)];
const layersOf = (d: number, { layers }: Config) => (d > 1 ? layers : 0);

const networks = (d: number, config: Config, key: Parameters<typeof foldIn>[0]): Arrays =>
  Object.assign(
    { logScale: f32([d]), shift: f32([d]) },
    ...Array.from({ length: layersOf(d, config) }, (_, i) => {
      const [read, moved] = halves(d, i);
      const arrays = stackParameters(`layer.${i}`, [read, config.hidden, 2 * moved], foldIn(key, i));
      const last = `layer.${i}.out.kernel`;
      return { ...arrays, [last]: f32(arrays[last].shape) };
    }),
  );

/** Log scale (between −1 and 1) and shift of the moved half, given the other. */
function couple(parameters: Tensors, layer: number, read: tf.Tensor) {
  const [logScale, shift] = tf.split(stack(parameters, `layer.${layer}`, read as tf.Tensor2D), 2, 1);
  return { logScale: tf.tanh(logScale), shift };
}

function logDensity(parameters: Tensors, w: tf.Tensor, layers: number): tf.Tensor {
  const d = w.shape.at(-1)!;
  let x = tf.matMul(tf.sub(tf.reshape(w, [-1, d]), parameters.mean), parameters.inverseCholesky, false, true);
  let logVolume = tf.sum(tf.log(tf.sum(tf.mul(parameters.inverseCholesky, tf.eye(d)), 1))) as tf.Tensor;
  for (let i = 0; i < layers; i++) {
    const [read, moved] = tf.split(x, halves(d, i), 1);
    const { logScale, shift } = couple(parameters, i, read);
    x = tf.concat([tf.add(tf.mul(moved, tf.exp(logScale)), shift), read], 1);
    logVolume = tf.add(logVolume, tf.sum(logScale, 1));
  }
  x = tf.add(tf.mul(x, tf.exp(parameters.logScale)), parameters.shift);
  logVolume = tf.add(logVolume, tf.sum(parameters.logScale));
  return tf.reshape(tf.add(logStandardDensity(x), logVolume), w.shape.slice(0, -1));
}

function generate(parameters: Tensors, noise: tf.Tensor, layers: number): tf.Tensor {
  const d = noise.shape[1]!;
  let x: tf.Tensor = tf.mul(tf.sub(noise, parameters.shift), tf.exp(tf.neg(parameters.logScale)));
  for (let i = layers - 1; i >= 0; i--) {
    const [read, moved] = halves(d, i);
    const [changed, same] = tf.split(x, [moved, read], 1);
    const { logScale, shift } = couple(parameters, i, same);
    x = tf.concat([same, tf.mul(tf.sub(changed, shift), tf.exp(tf.neg(logScale)))], 1);
  }
  return tf.add(tf.matMul(x, parameters.cholesky, false, true), parameters.mean);
}

export const flow: PriorFamily<Config> = {
  name: 'flow',
  summary: 'normalising flow of coupling layers (RealNVP) on whitened kernels',
  config,
  compared: [{ name: 'flow', label: 'RealNVP', config: {} }],
  fit: {
    kind: 'gradient',
    initial(kernels, config, key) {
      if (gaussian.fit.kind !== 'closed-form') throw new Error('the Gaussian has a closed form');
      const fixed = gaussian.fit.parameters(kernels, gaussian.config.parse({}));
      return { trainable: networks(kernelLength(kernels), config, key), fixed };
    },
    noise: () => ({}),
    bound: (parameters, w, _, size, config) =>
      logDensity(parameters, w, layersOf(kernelLength(size), config)),
  },
  prior(size, config, given) {
    const d = kernelLength(size);
    const layers = layersOf(d, config);
    const shapes = Object.entries(networks(d, config, [0, 0, 0, 1])).map(([name, { shape }]) => [
      name,
      shape,
    ]);
    const parameters = requireShapes(given, {
      ...Object.fromEntries(shapes),
      mean: [d],
      cholesky: [d, d],
      inverseCholesky: [d, d],
    });
    requirePositive(
      "inverseCholesky's diagonal",
      Array.from({ length: d }, (_, j) => parameters.inverseCholesky.data[j * d + j]),
    );
    return {
      family: 'flow',
      size,
      config,
      parameters,
      generateNoise: (n) => ({ kernels: spec([n, d]) }),
      generate: (parameters, { kernels }) => generate(parameters, kernels, layers),
      density: { kind: 'exact', logDensity: (parameters, w) => logDensity(parameters, w, layers) },
      adaptable: { decoder: { names: shapes.map(([name]) => name as string) } },
    };
  },
  freeNumbers(size, config, parameters) {
    const d = kernelLength(size);
    const learned = networks(d, config, [0, 0, 0, 1]);
    return gaussianNumbers(d) + numbersIn(parameters, (name) => Object.hasOwn(learned, name));
  },
};
