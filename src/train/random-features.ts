// Random features: convolutions that stay as they were drawn, and a classifier on what they make of images. It takes a
// second where training takes a minute, and orders sources of kernels (docs/networks.md).
import { gatherImages, gatherLabels, type ImageSet } from '../data/index.js';
import {
  type Engine,
  f32,
  layoutOf,
  type NdArray,
  prefixed,
  spec,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import {
  type Architecture,
  applyWeights,
  convLayers,
  inputChannels,
  networkLogits,
  ordinaryParameters,
  weightShape,
} from '../network/index.js';
import type { Arrays } from '../priors/index.js';
import { adam, packAdam } from './adam.js';
import { descend } from './loop.js';

/** Images in a run of the convolutions. */
const BATCH = 100;
/** Of Adam on all examples, with a rate that falls linearly to 0: the loss is convex, and by then flat. */
const STEPS = 300;
const LEARNING_RATE = 0.05;

/** Features of images, [n, f]; `scale` is what they were divided by. */
export interface Features {
  values: NdArray<readonly [number, number]>;
  scale: number;
}

export interface FeatureMap {
  /**
   * What the network's last layer sees of the given rows.
   * @param weights of each convolution, [out, in, h, w]; their biases are 0
   * @param scale what features are divided by: their own root mean square where nothing is said
   */
  features(weights: Arrays, images: ImageSet, rows: Int32Array, scale?: number): Promise<Features>;
  release(): Promise<void>;
}

/** @param architecture a network whose last layer is dense */
export async function featureMap(
  architecture: Architecture,
  shape: ImageSet,
  engine: Engine,
): Promise<FeatureMap> {
  const last = architecture.layers.at(-1)!;
  const layers = architecture.layers.slice(0, -1);
  const { height, width, channels } = shape;
  const pixels = f32([BATCH, height, width, channels]);
  const convolutions = convLayers(architecture);
  const weightSpecs = Object.fromEntries(convolutions.map((layer) => [layer.name, spec(weightShape(layer))]));
  const biases: Arrays = Object.assign(
    {},
    ...convolutions.map((layer) => prefixed(ordinaryParameters(layer), layer.name)),
  );
  const step = await engine.compile(
    ({ images, weights }, biases) => ({
      features: tf.clone(
        networkLogits(
          { layers },
          { parameters: biases, random: (layer, x) => applyWeights(layer, x, weights[layer.name]) },
          images,
        ),
      ),
    }),
    { inputs: { images: spec(pixels.shape), weights: weightSpecs }, constants: biases },
  );
  const size = inputChannels(last);
  return {
    async features(weights, images, rows, scale) {
      const values = f32([rows.length, size]);
      for (let start = 0; start < rows.length; start += BATCH) {
        const part = rows.subarray(start, start + BATCH);
        // the last batch is filled up with its first image, so that all have one shape
        gatherImages(
          images,
          Int32Array.from({ length: BATCH }, (_, i) => part[i] ?? part[0]),
          pixels.data,
        );
        const out = await step.run({ images: pixels, weights });
        values.data.set(out.features.data.subarray(0, part.length * size), start * size);
      }
      const used = scale ?? Math.sqrt(values.data.reduce((sum, x) => sum + x * x, 0) / values.data.length);
      for (let i = 0; i < values.data.length; i++) values.data[i] /= used || 1;
      return { values, scale: used };
    },
    release: () => step.release(),
  };
}

/** A classifier of features: weights [f, classes] and bias [classes]. */
export interface LinearClassifier {
  weights: NdArray;
  bias: NdArray;
}

/**
 * Minimises the negative log-likelihood + ½ · decay · ‖W‖² over W [f, classes] and b, from 0: multinomial logistic
 * regression with the prior N(0, 1/decay) of every weight.
 * @param features [n, f]
 * @param labels [n]
 */
export async function linearClassifier(
  features: Features['values'],
  labels: Int32Array,
  classes: number,
  decay: number,
  engine: Engine,
): Promise<LinearClassifier> {
  const [n, f] = features.shape;
  const optimiser = adam();
  const layout = layoutOf({ bias: f32([classes]), weights: f32([f, classes]) });
  const step = await engine.compile(
    ({ parameters, moments, rate }, { x, y }) => {
      const { gradients } = valueAndGradients(
        ({ vector }) => {
          const { weights, bias } = unpack(vector, layout);
          const logits = tf.add(tf.matMul(x, weights as tf.Tensor2D), bias);
          const nll = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), y)));
          const penalty = tf.mul(tf.sum(tf.square(weights)), 0.5 * decay);
          return { objective: tf.div(tf.add(nll, penalty), n) as tf.Scalar, aux: {} };
        },
        { vector: parameters },
      );
      return optimiser.update(gradients.vector, moments, parameters, rate);
    },
    {
      inputs: { ...packAdam(layout).vectors, rate: spec([]) },
      constants: { x: features, y: oneHot(labels, classes) },
    },
  );
  const start = packAdam(layout);
  const rate = f32([]);
  const descent = descend({
    buffers: [start, packAdam(layout)],
    from: 0,
    to: STEPS,
    compile: async () => ({ step }),
    given(t) {
      rate.data[0] = optimiser.rate(LEARNING_RATE * (1 - (t - 1) / STEPS), t);
      return { rate };
    },
    results: {},
    subject: 'a classifier of features',
  });
  let { weights, bias } = start.state.parameters;
  for await (const { state } of descent) ({ weights, bias } = state.parameters);
  return { weights: weights as LinearClassifier['weights'], bias };
}

function oneHot(labels: Int32Array, classes: number): NdArray<[number, number]> {
  const rows = f32([labels.length, classes]);
  labels.forEach((label, i) => {
    rows.data[i * classes + label] = 1;
  });
  return rows;
}

/** Class probabilities of features [n, f], [n · classes]. */
export function classify(
  { values: { shape, data } }: Features,
  { weights, bias }: LinearClassifier,
): Float64Array {
  const [n, f] = shape;
  const classes = bias.data.length;
  const probabilities = new Float64Array(n * classes);
  for (let i = 0; i < n; i++) {
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    row.set(bias.data);
    for (let k = 0; k < f; k++) {
      const x = data[i * f + k];
      if (x !== 0) for (let c = 0; c < classes; c++) row[c] += x * weights.data[k * classes + c];
    }
    const largest = row.reduce((a, b) => Math.max(a, b));
    const total = row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
    for (let c = 0; c < classes; c++) row[c] = Math.exp(row[c] - largest) / total;
  }
  return probabilities;
}

/** Class numbers of rows, [n]. */
export const labelsOf = (images: ImageSet, rows: Int32Array): Int32Array =>
  gatherLabels(images, rows, new Int32Array(rows.length));

/** Root mean square below which features carry no information. */
export const NEGLIGIBLE_SCALE = 1e-6;

/**
 * The classifier that is likeliest a posteriori on what a network's convolutions make of images, with a prior
 * N(0, 1/decay) of every weight, for features as they are (125).
 * @param weights of each convolution, [out, in, h, w]
 * @returns weights [f, classes] and bias [classes] of the network's last layer; 0 where all features are next to 0
 */
export async function fittedClassifier(
  architecture: Architecture,
  weights: Arrays,
  images: ImageSet,
  rows: Int32Array,
  decay: number,
  engine: Engine,
): Promise<LinearClassifier> {
  const map = await featureMap(architecture, images, engine);
  try {
    const { values, scale } = await map.features(weights, images, rows);
    const { classes } = architecture;
    if (!(scale > NEGLIGIBLE_SCALE))
      return { weights: f32([values.shape[1], classes]), bias: f32([classes]) };
    const labels = labelsOf(images, rows);
    // ½ · decay · ‖W‖² of W = V / scale
    const { weights: v, bias } = await linearClassifier(values, labels, classes, decay / scale ** 2, engine);
    return {
      weights: f32(
        v.shape,
        Float32Array.from(v.data, (x) => x / scale),
      ),
      bias,
    };
  } finally {
    await map.release();
  }
}
