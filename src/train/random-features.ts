// Random features: weights that stay as they were drawn, and a classifier on what they make of images. It takes a
// second where training takes a minute, and orders sources of kernels (docs/networks.md).
import { gatherImages, gatherLabels, type ImageSet } from '../data/index.js';
import {
  chunksOf,
  type Engine,
  f32,
  layoutOf,
  type NdArray,
  spec,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import { drawStatistics, statisticsSpecs } from '../evaluate/batch-statistics.js';
import {
  type Architecture,
  applyWeights,
  type ForwardContext,
  forward,
  inputChannels,
  ordinaryParameters,
  weightLayers,
  weightShape,
  withKeys,
  withRandomDense,
} from '../network/index.js';
import type { Arrays, Tensors } from '../priors/index.js';
import { adam, packAdam } from './adam.js';
import { descend } from './loop.js';

/** Images in a run of the convolutions. */
const BATCH = 100;
/** Of Adam on all examples, with a rate that falls linearly to 0: the loss is convex, and by then flat. */
const STEPS = 300;
const LEARNING_RATE = 0.05;

/** How features were made: what they were divided by, and the statistics of batch normalisation. */
export interface FeatureScale {
  scale: number;
  statistics: Arrays;
}

/** Features of images, [n, f]. */
export interface Features extends FeatureScale {
  values: NdArray<readonly [number, number]>;
}

export interface FeatureMap {
  /**
   * What the network's last layer sees of the given rows.
   * @param weights of each convolution, [out, in, h, w], and of dense layers before the last layer, [out, in, 1, 1]; other
   *   parameters are as before training
   * @param as statistics and scale of other features; those of these images and the root mean square of these features where
   *   nothing is said
   */
  features(weights: Arrays, images: ImageSet, rows: Int32Array, as?: FeatureScale): Promise<Features>;
  release(): Promise<void>;
}

/**
 * @param architecture a network whose last layer is dense
 * @param stored parameters other than weights that have a start of their own, `layer.part`
 */
export async function featureMap(
  architecture: Architecture,
  shape: ImageSet,
  engine: Engine,
  stored: Arrays = {},
): Promise<FeatureMap> {
  const last = architecture.layers.at(-1)!;
  const before = withRandomDense({ ...architecture, layers: architecture.layers.slice(0, -1) });
  const { height, width, channels } = shape;
  const pixels = f32([BATCH, height, width, channels]);
  const weighted = weightLayers(before);
  const weightSpecs = Object.fromEntries(weighted.map((layer) => [layer.name, spec(weightShape(layer))]));
  const parameters: Arrays = Object.assign(
    {},
    ...before.layers.map((layer) => withKeys(ordinaryParameters(layer, stored), layer)),
  );
  const run = (
    parameters: Tensors,
    images: tf.Tensor4D,
    weights: Tensors,
    context: Partial<ForwardContext>,
  ) =>
    forward(before, images, {
      parameters,
      random: (layer, x) => applyWeights(layer, x, weights[layer.name]),
      ...context,
    });
  const statisticsShapes = statisticsSpecs(before);
  const step = await engine.compile(
    ({ images, weights, statistics }, parameters) => ({
      features: tf.clone(run(parameters, images, weights, { state: statistics }).outputs),
    }),
    {
      inputs: { images: spec(pixels.shape), weights: weightSpecs, statistics: statisticsShapes },
      constants: parameters,
    },
  );
  const statisticsFor = async (weights: Arrays, images: ImageSet, rows: Int32Array): Promise<Arrays> => {
    if (Object.keys(statisticsShapes).length === 0) return {};
    const measured = await drawStatistics(
      (parameters, images, weights) => run(parameters, images, weights, { mode: 'statistics' }).averages,
      weightSpecs,
      parameters,
      { images, rows },
      engine,
    );
    return measured.of(weights).finally(() => measured.release());
  };
  const size = inputChannels(last);
  return {
    async features(given, images, rows, as) {
      const weights = Object.fromEntries(weighted.map(({ name }) => [name, given[name]]));
      const statistics = as?.statistics ?? (await statisticsFor(weights, images, rows));
      const values = f32([rows.length, size]);
      for (const { from, to } of chunksOf(rows.length, BATCH)) {
        const part = rows.subarray(from, to);
        gatherImages(
          images,
          Int32Array.from({ length: BATCH }, (_, i) => part[i] ?? part[0]), // where there are fewer, the first again
          pixels.data,
        );
        const out = await step.run({ images: pixels, weights, statistics });
        values.data.set(out.features.data.subarray(0, part.length * size), from * size);
      }
      const used =
        as?.scale ?? Math.sqrt(values.data.reduce((sum, x) => sum + x * x, 0) / values.data.length);
      for (let i = 0; i < values.data.length; i++) values.data[i] /= used || 1;
      return { values, scale: used, statistics };
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
  { values: { shape, data } }: Pick<Features, 'values'>,
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

/** What the last layer of a network is fitted to. */
export interface ClassifierFit {
  architecture: Architecture;
  /** As of {@link FeatureMap}. */
  weights: Arrays;
  images: ImageSet;
  /** Rows of `images` to fit to. */
  rows: Int32Array;
  /** 1 / the prior's variance of every weight. */
  decay: number;
  engine: Engine;
  /** As of {@link featureMap}. */
  stored?: Arrays;
}

/**
 * The classifier that is likeliest a posteriori on what the layers before it make of images, with a prior
 * N(0, 1/decay) of every weight, for features as they are (125).
 * @returns weights [f, classes] and bias [classes] of the network's last layer; 0 where all features are next to 0
 */
export async function fittedClassifier({
  architecture,
  weights,
  images,
  rows,
  decay,
  engine,
  stored,
}: ClassifierFit): Promise<LinearClassifier> {
  const map = await featureMap(architecture, images, engine, stored);
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
