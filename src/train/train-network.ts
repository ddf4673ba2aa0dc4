// Training a network: Adam on the negative evidence lower bound, resumable at any step, bit for bit.
import { boundNoise, boundTerms, type Model, subsampleSize } from '../bounds/elbo.js';
import { settingsAt } from '../bounds/schedule.js';
import { type BoundSettings, HIERARCHICAL } from '../bounds/settings.js';
import { BatchOrder, gatherImages, gatherLabels, type ImageSet } from '../data/index.js';
import {
  type Engine,
  f32,
  foldIn,
  type Key,
  type Layout,
  layoutOf,
  type NdArray,
  noiseFor,
  RandomStream,
  spec,
  type TensorsOf,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import {
  type Architecture,
  convLayers,
  denseLayers,
  glorotDense,
  initialAverages,
  isBiased,
  isConvolution,
  kernelCount,
  kindOf,
  type Layer,
  ordinaryParameters,
  parameterKey,
  randomLayers,
  weightLayers,
  weightShape,
  withKeys,
} from '../network/index.js';
import type { Posterior } from '../posteriors/index.js';
import type { Arrays, Tensors } from '../priors/index.js';
import { type AdamState, adam, initialAdam, packAdam } from './adam.js';
import { descend } from './loop.js';
import type { LinearClassifier } from './random-features.js';
import { type LearningRates, rateFactors } from './rates.js';

export interface NetworkOptions extends LearningRates {
  steps: number;
  batch: number;
  learningRate: number;
  /** K of the bounds in the first steps, see {@link settingsAt}; that of the model from the start where nothing is said. */
  boundSamplesFrom?: number;
  /** Multiplies the divergence KL(q‖p) in what is maximised; reported bounds are at 1. */
  temperature: number;
  /** Steps over which the divergence's weight rises linearly from 0. */
  warmUp: number;
  /** ½ · weightDecay · ‖·‖² for the convolution weights of a point posterior. */
  weightDecay: number;
  /** ½ · denseDecay · ‖·‖² for the weights of a plain classifier: a normal prior of variance 1/denseDecay. */
  denseDecay: number;
  logEvery: number;
}

/** What training carries from step to step: with the run's key it determines everything that follows. */
export interface TrainingState extends AdamState {
  step: number;
  /** Running averages of the network, `layer.part`. */
  averages: Arrays;
}

/** One line of the trace: estimates at T = 1 from that step's batch and noise, nats for the whole training set. */
export interface TracePoint {
  step: number;
  bound: number;
  expectedLogLikelihood: number;
  priorTerm: number;
  entropyTerm: number;
  /** Of --bound uivi: mean acceptance of the chains over ζ. */
  acceptance?: number;
}

export interface TrainHooks {
  signal?: AbortSignal;
  /** Called after steps that are multiples of logEvery, and after the last. */
  trace?(point: TracePoint): void;
  /**
   * Called after every step, and after its trace: what is saved here has the trace of all its steps. The arrays are
   * written again by the step after the next: copy what has to last longer.
   */
  stepped?(state: TrainingState): void;
}

/** Of Glorot's standard deviation: a classifier that begins with next to no opinion ends better (docs/networks.md). */
export const DENSE_START = 0.1;

/** What parameters are made from before the first step. */
export interface NetworkStart {
  architecture: Architecture;
  posterior: Posterior;
  /** Of each convolution by name, [out, in, h, w]. */
  weights: Readonly<Record<string, NdArray>>;
  /** Log standard deviation that the posterior starts with. */
  logStd: number;
  key: Key;
  /** Parameters that are trained along, such as those of r(z|w), `layer.auxiliary.name`. */
  auxiliary?: Arrays;
  /**
   * Of the classifier: a random one of this many times Glorot's standard deviation √(2 / (inputs + outputs)), or its weights
   * [in, out] and bias. Dense layers before it start at Glorot's, {@link hiddenDenseStart}. {@link DENSE_START} unless given.
   */
  denseStart?: number | LinearClassifier;
  /** Everything else that does not start as usual, `layer.part`: biases, running averages, `weights` of dense layers. */
  stored?: Arrays;
}

/** Parameters, moments and averages before the first step. */
export function initialState({
  architecture,
  posterior,
  weights,
  logStd,
  key,
  auxiliary = {},
  denseStart = DENSE_START,
  stored = {},
}: NetworkStart): TrainingState {
  const parameters: Record<string, NdArray> = {};
  const classifier = classifierLayer(architecture);
  for (const layer of inOrderOfStart(architecture)) {
    const given = typeof denseStart !== 'number' && layer === classifier ? denseStart : undefined;
    const parts: Arrays = weightsAtStart(layer, given);
    const ordinary = {
      ...ordinaryParameters(layer, stored),
      ...(given && isBiased(layer) && { bias: given.bias }),
    };
    Object.assign(parameters, withKeys({ ...parts, ...ordinary }, layer));
  }
  return {
    step: 0,
    ...initialAdam({ ...parameters, ...auxiliary }),
    averages: initialAverages(architecture, stored),
  };

  function weightsAtStart(layer: Layer, given: LinearClassifier | undefined): Arrays {
    if (weights[layer.name])
      return posterior.initial(layer, weights[layer.name], logStd, foldIn(key, layer.name));
    if (!kindOf(layer).weights) return {};
    const factor = typeof denseStart === 'number' ? denseStart : DENSE_START;
    const kernel =
      layer !== classifier
        ? hiddenStart(layer, key, stored)
        : (given?.weights ?? glorotDense(layer, factor, foldIn(key, layer.name))); // [in, out]
    if (!layer.random) return { kernel };
    const rows = transposed(kernel, weightShape(layer));
    return posterior.initial(layer, rows, logStd, foldIn(key, layer.name, 'posterior'));
  }
}

/** Of layers before the classifier: of how many terms each output is a sum, inputs · h · w. */
const fanIn = (architecture: Architecture): Record<string, number> =>
  Object.fromEntries(
    weightLayers(architecture)
      .filter((layer) => layer !== classifierLayer(architecture))
      .map((layer) => {
        const [, inputs, h, w] = weightShape(layer);
        return [layer.name, inputs * h * w];
      }),
  );

/** The layer that makes the logits, where it is dense. */
export const classifierLayer = ({ layers }: Pick<Architecture, 'layers'>): Layer | undefined => {
  const last = layers.at(-1)!;
  return kindOf(last).weights && !isConvolution(last) ? last : undefined;
};

/** Glorot's, whole: a hidden layer that began at a tenth of it would hide from the classifier what it sees. [in, out] */
function hiddenStart(layer: Layer, key: Key, stored: Arrays): NdArray {
  const given = stored[parameterKey(layer, 'weights')];
  return given ? matrixOf(given) : glorotDense(layer, 1, foldIn(key, layer.name));
}

/**
 * Weights [out, in, 1, 1] that dense layers before the classifier start with.
 * @param key, stored as those of {@link initialState}
 */
export const hiddenDenseStart = (
  architecture: Architecture,
  key: Key,
  stored: Arrays = {},
): Record<string, NdArray> => {
  const classifier = classifierLayer(architecture);
  return Object.fromEntries(
    denseLayers(architecture)
      .filter((layer) => layer !== classifier)
      .map((layer) => [layer.name, transposed(hiddenStart(layer, key, stored), weightShape(layer))]),
  );
};

/** The classifier whose `weights` and perhaps `bias` are among the stored arrays. */
export const storedClassifier = (layer: Layer, stored: Arrays): LinearClassifier => {
  const weights = stored[parameterKey(layer, 'weights')];
  return { weights: matrixOf(weights), bias: stored[parameterKey(layer, 'bias')] ?? f32([weights.shape[0]]) };
};

/** [out, in, 1, 1] → [in, out] */
const matrixOf = ({ data, shape: [out, inputs] }: NdArray): NdArray =>
  transposed({ data, shape: [out, inputs] }, [inputs, out]);

/** Convolutions, then dense layers, then all others: the order of parameters in the optimiser's vector. */
const inOrderOfStart = (architecture: Architecture): Layer[] => {
  const weighted = [...convLayers(architecture), ...denseLayers(architecture)];
  return [...weighted, ...architecture.layers.filter((layer) => !weighted.includes(layer))];
};

/** [in, out] → `shape`, [out, in, 1, 1]. */
function transposed({ data, shape: [inputs, out] }: NdArray, shape: readonly number[]): NdArray {
  return f32(
    shape,
    Float32Array.from(data, (_, i) => data[(i % inputs) * out + Math.floor(i / inputs)]),
  );
}

const optimiser = adam();

/** Rate of step t: falls linearly to 0, as in the published recipe. */
const learningRateAt = ({ learningRate, steps }: NetworkOptions, t: number): number =>
  learningRate * (1 - (t - 1) / steps);

/** Layers of whose kernels a step's prior term uses only some. */
const subsampledLayers = (model: Model): Layer[] =>
  randomLayers(model.architecture).filter(
    (layer) => model.priors[layer.name] && subsampleSize(model, layer) < kernelCount(layer),
  );

/** Shapes of a step's inputs. */
export const trainingInputs = (
  model: Model,
  batch: number,
  { height, width, channels }: Pick<ImageSet, 'height' | 'width' | 'channels'>,
  layout: Layout,
) => ({
  ...packAdam(layout).vectors,
  averages: initialAverages(model.architecture),
  images: spec([batch, height, width, channels]),
  labels: spec([batch], 'int32'),
  noise: boundNoise(model, batch),
  rows: Object.fromEntries(
    subsampledLayers(model).map((layer) => [layer.name, spec([subsampleSize(model, layer)], 'int32')]),
  ),
  rate: spec([]),
  divergenceWeight: spec([]),
});

/** What one step of training is given. */
export type TrainingInputs = TensorsOf<ReturnType<typeof trainingInputs>>;

/** One step of Adam on the negative of (18), as the engine compiles it. */
export const trainingStep =
  (
    model: Model,
    options: Pick<NetworkOptions, 'weightDecay' | 'denseDecay'> & LearningRates,
    layout: Layout,
  ) =>
  (inputs: TrainingInputs, priorParameters: Tensors) => {
    const { aux, gradients } = valueAndGradients(
      ({ vector }) => {
        const parameters = unpack(vector, layout);
        const { averages, ...terms } = boundTerms(model, parameters, priorParameters, inputs);
        const negativeDivergence = tf.add(terms.priorTerm, terms.entropyTerm); // −KL(q‖p), or a lower bound of it
        const bound = tf.add(
          terms.expectedLogLikelihood,
          tf.mul(negativeDivergence, inputs.divergenceWeight),
        );
        const objective = tf.div(tf.sub(decay(model, parameters, options), bound), model.examples);
        return { objective: objective as tf.Scalar, aux: { terms, averages } };
      },
      { vector: inputs.parameters },
    );
    const factors = rateFactors(layout, options, fanIn(model.architecture));
    const rate = factors ? tf.mul(inputs.rate, tf.tensor1d(factors)) : inputs.rate;
    return { ...aux, ...optimiser.update(gradients.vector, inputs.moments, inputs.parameters, rate) };
  };

/** What is trained, on what, and from where. */
export interface NetworkTraining {
  model: Model;
  images: ImageSet;
  /** Rows of `images` to train on. */
  rows: Int32Array;
  options: NetworkOptions;
  engine: Engine;
  key: Key;
  state: TrainingState;
}

/**
 * Continues from `state` to `options.steps`.
 * @throws DwpError DIVERGED when the bound is not finite; INTERRUPTED when `hooks.signal` aborts (the state given
 *   to the last `hooks.stepped` is then where to go on)
 */
export async function trainNetwork(
  { model, images, rows, options, engine, key, state }: NetworkTraining,
  hooks: TrainHooks = {},
): Promise<TrainingState> {
  const order = new BatchOrder(rows.length, options.batch, foldIn(key, 'batches'));
  const batch = order.size;
  const layout = layoutOf(state.parameters);
  const settings = (t: number) =>
    settingsAt(model.bound ?? HIERARCHICAL, options.boundSamplesFrom, t, options.steps);
  const compile = async (bound: BoundSettings) => {
    const staged = { ...model, bound };
    const shapes = trainingInputs(staged, batch, images, layout);
    const step = await engine.compile(trainingStep(staged, options, layout), {
      inputs: shapes,
      constants: priorConstants(model),
    });
    return { step, noiseSpecs: shapes.noise, noise: noiseFor(shapes.noise, key) };
  };
  const acceptance = model.bound?.chain && model.posterior.latent && f32([]);
  const terms = {
    expectedLogLikelihood: f32([]),
    priorTerm: f32([]),
    entropyTerm: f32([]),
    ...(acceptance && { acceptance }),
  };
  const pointAt = (step: number): TracePoint => {
    const [likelihood, prior, entropy] = [terms.expectedLogLikelihood, terms.priorTerm, terms.entropyTerm];
    return {
      step,
      bound: likelihood.data[0] + prior.data[0] + entropy.data[0],
      expectedLogLikelihood: likelihood.data[0],
      priorTerm: prior.data[0],
      entropyTerm: entropy.data[0],
      ...(acceptance && { acceptance: acceptance.data[0] }),
    };
  };
  const picked = new Int32Array(batch);
  const imageData = f32([batch, images.height, images.width, images.channels]);
  const labelData = { shape: [batch], data: new Int32Array(batch) };
  const rate = f32([]);
  const divergenceWeight = f32([]);
  const descent = descend({
    buffers: [carried(layout, state.averages, state), carried(layout, state.averages)],
    from: state.step,
    to: options.steps,
    stageOf: (t) => settings(t).priorSamples,
    compile: (t) => compile(settings(t)),
    given(t, { noiseSpecs, noise }) {
      order.rows(t - 1, picked);
      for (let i = 0; i < batch; i++) picked[i] = rows[picked[i]];
      gatherImages(images, picked, imageData.data);
      gatherLabels(images, picked, labelData.data);
      const stepKey = foldIn(key, 'step', t);
      noiseFor(noiseSpecs, stepKey, noise);
      rate.data[0] = optimiser.rate(learningRateAt(options, t), t);
      divergenceWeight.data[0] = options.temperature * Math.min(1, t / Math.max(1, options.warmUp));
      const kernels = subsampledLayers(model).map((layer) => [layer.name, kernelRows(model, layer, stepKey)]);
      return {
        images: imageData,
        labels: labelData,
        noise,
        rows: Object.fromEntries(kernels) as Arrays,
        rate,
        divergenceWeight,
      };
    },
    results: { terms },
    objective: { name: 'bound', values: () => [pointAt(0).bound] },
    signal: hooks.signal,
  });
  let reached: TrainingState = state;
  for await (const { step, state } of descent) {
    reached = { step, ...state };
    if (step % options.logEvery === 0 || step === options.steps) hooks.trace?.(pointAt(step));
    hooks.stepped?.(reached);
  }
  return reached;
}

/** A set of arrays that a step reads or writes: the optimiser's, and running averages of the network. */
function carried(layout: Layout, averages: Arrays, from?: AdamState) {
  const { vectors, state } = packAdam(layout, from);
  const own = copied(averages);
  return { vectors: { ...vectors, averages: own }, state: { ...state, averages: own } };
}

const copied = (arrays: Arrays): Arrays =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, { shape, data }]) => [name, f32(shape, Float32Array.from(data))]),
  );

/** Parameters of the priors of all layers in one flat list, `layer.parameter`. */
export const priorConstants = ({ priors }: Model): Arrays =>
  Object.assign(
    {},
    ...Object.entries(priors).map(([name, { parameters }]) => withKeys(parameters, { name })),
  );

/** S different rows of a layer's kernels, uniformly at random. */
function kernelRows(model: Model, layer: Layer, key: Key): NdArray {
  const size = subsampleSize(model, layer);
  const order = new RandomStream(foldIn(key, layer.name, 'rows')).permutation(kernelCount(layer));
  return { shape: [size], data: order.slice(0, size) };
}

function decay(
  model: Model,
  parameters: Tensors,
  { weightDecay, denseDecay }: Pick<NetworkOptions, 'weightDecay' | 'denseDecay'>,
): tf.Tensor {
  const half = (x: tf.Tensor, factor: number) => tf.mul(tf.sum(tf.square(x)), 0.5 * factor);
  let penalty: tf.Tensor = tf.scalar(0);
  const classifier = classifierLayer(model.architecture);
  if (denseDecay > 0 && classifier && !classifier.random)
    penalty = tf.add(penalty, half(parameters[parameterKey(classifier, 'kernel')], denseDecay));
  if (weightDecay > 0 && !model.posterior.kernels)
    for (const layer of convLayers(model.architecture))
      penalty = tf.add(penalty, half(parameters[parameterKey(layer, 'mean')], weightDecay));
  return penalty;
}
