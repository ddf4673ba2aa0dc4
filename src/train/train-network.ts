// Training a network: Adam on the negative evidence lower bound, resumable at any step, bit for bit.
import { boundNoise, boundTerms, kernelCount, type Model, subsampleSize } from '../bounds/elbo.js';
import { BatchOrder, gatherImages, gatherLabels, type ImageSet } from '../data/index.js';
import {
  type Engine,
  f32,
  foldIn,
  type Key,
  type NdArray,
  noiseFor,
  RandomStream,
  spec,
  tf,
  valueAndGradients,
} from '../engine/index.js';
import { DwpError } from '../errors.js';
import { type Architecture, type ConvLayer, convLayers, denseLayers } from '../nn/index.js';
import type { Posterior } from '../posteriors/index.js';
import type { Arrays, Tensors } from '../priors/index.js';
import { adam, correctedRate, type Moments, zeroMoments } from './adam.js';

export interface NetworkOptions {
  steps: number;
  batch: number;
  learningRate: number;
  /** Multiplies the divergence KL(q‖p) in what is maximised; reported bounds are at 1. */
  temperature: number;
  /** Steps over which the divergence's weight rises linearly from 0. */
  warmUp: number;
  /** ½ · weightDecay · ‖·‖² for the convolution weights of a point posterior. */
  weightDecay: number;
  /** ½ · denseDecay · ‖·‖² for the weights of dense layers: a normal prior of variance 1/denseDecay. */
  denseDecay: number;
  logEvery: number;
}

/** What training carries from step to step: with the run's key it determines everything that follows. */
export interface TrainingState {
  step: number;
  parameters: Arrays;
  moments: Moments<NdArray>;
}

/** One line of the trace: estimates at T = 1 from that step's batch and noise, nats for the whole training set. */
export interface TracePoint {
  step: number;
  bound: number;
  expectedLogLikelihood: number;
  priorTerm: number;
  entropyTerm: number;
}

export interface TrainHooks {
  signal?: AbortSignal;
  /** Called after steps that are multiples of logEvery, and after the last. */
  trace?(point: TracePoint): void;
  /** Called after every step, and after its trace: what is saved here has the trace of all its steps. */
  stepped?(state: TrainingState): void;
}

/**
 * Parameters before the first step.
 * @param weights start of each convolution by name, [out, in, h, w]
 * @param logStd log standard deviation that the posterior starts with
 */
export function initialState(
  architecture: Architecture,
  posterior: Posterior,
  weights: Readonly<Record<string, NdArray>>,
  logStd: number,
  key: Key,
): TrainingState {
  const parameters: Record<string, NdArray> = {};
  for (const layer of convLayers(architecture)) {
    for (const [name, array] of Object.entries(posterior.initial(weights[layer.name], logStd)))
      parameters[`${layer.name}.${name}`] = array;
    parameters[`${layer.name}.bias`] = f32([layer.shape[0]]);
  }
  for (const { name, shape } of denseLayers(architecture)) {
    const kernel = f32(shape);
    new RandomStream(foldIn(key, name)).fillNormal(kernel.data);
    const std = Math.sqrt(2 / (shape[0] + shape[1]));
    for (let i = 0; i < kernel.data.length; i++) kernel.data[i] *= std;
    parameters[`${name}.kernel`] = kernel;
    parameters[`${name}.bias`] = f32([shape[1]]);
  }
  return { step: 0, parameters, moments: zeroMoments(parameters) };
}

/** Glorot's normal initialisation of a convolution, [out, in, h, w] (Glorot & Bengio 2010). */
export function xavier({ name, shape }: ConvLayer, key: Key): NdArray {
  const [out, inputs, h, w] = shape;
  const weights = f32(shape);
  new RandomStream(foldIn(key, name)).fillNormal(weights.data);
  const std = Math.sqrt(2 / ((inputs + out) * h * w));
  for (let i = 0; i < weights.data.length; i++) weights.data[i] *= std;
  return weights;
}

/** Rate of step t: falls linearly to 0, as in the published recipe. */
const learningRateAt = ({ learningRate, steps }: NetworkOptions, t: number): number =>
  learningRate * (1 - (t - 1) / steps);

/**
 * Continues from `state` to `options.steps`.
 * @param rows rows of `images` to train on
 * @throws DwpError DIVERGED when the bound is not finite; INTERRUPTED when `hooks.signal` aborts (the state given
 *   to the last `hooks.stepped` is then where to go on)
 */
export async function trainNetwork(
  model: Model,
  images: ImageSet,
  rows: Int32Array,
  options: NetworkOptions,
  engine: Engine,
  key: Key,
  state: TrainingState,
  hooks: TrainHooks = {},
): Promise<TrainingState> {
  const order = new BatchOrder(rows.length, options.batch, foldIn(key, 'batches'));
  const batch = order.size;
  const layers = convLayers(model.architecture);
  const subsampled = layers.filter(
    (layer) => model.priors[layer.name] && subsampleSize(model, layer) < kernelCount(layer),
  );
  const noiseSpecs = boundNoise(model, batch);
  const priorParameters = priorConstants(model);
  const imageShape = [batch, images.height, images.width, images.channels];

  interface StepInputs {
    parameters: Tensors;
    moments: Moments<tf.Tensor>;
    images: tf.Tensor4D;
    labels: tf.Tensor1D;
    noise: Tensors;
    rows: Tensors;
    rate: tf.Scalar;
    divergenceWeight: tf.Scalar;
  }
  const step = await engine.compile(
    (inputs: StepInputs, priorParameters: Tensors) => {
      const { aux, gradients } = valueAndGradients((parameters: Tensors) => {
        const terms = boundTerms(model, parameters, inputs, inputs.noise, inputs.rows, priorParameters);
        const negativeDivergence = tf.add(terms.priorTerm, terms.entropyTerm); // −KL(q‖p), or a lower bound of it
        const bound = tf.add(
          terms.expectedLogLikelihood,
          tf.mul(negativeDivergence, inputs.divergenceWeight),
        );
        const objective = tf.div(tf.sub(decay(model, parameters, options), bound), model.examples);
        return { objective: objective as tf.Scalar, aux: { ...terms } };
      }, inputs.parameters);
      return { terms: aux, ...adam(inputs.parameters, gradients, inputs.moments, inputs.rate) };
    },
    {
      inputs: {
        parameters: state.parameters,
        moments: state.moments,
        images: spec(imageShape),
        labels: spec([batch], 'int32'),
        noise: noiseSpecs,
        rows: Object.fromEntries(subsampled.map((l) => [l.name, spec([subsampleSize(model, l)], 'int32')])),
        rate: spec([]),
        divergenceWeight: spec([]),
      } as never,
      constants: priorParameters,
    },
  );

  const picked = new Int32Array(batch);
  const imageData = f32(imageShape);
  const labelData = { shape: [batch], data: new Int32Array(batch) };
  let current = state;
  try {
    for (let t = state.step + 1; t <= options.steps; t++) {
      if (hooks.signal?.aborted) throw new DwpError('INTERRUPTED', `interrupted after step ${t - 1}`);
      order.rows(t - 1, picked);
      for (let i = 0; i < batch; i++) picked[i] = rows[picked[i]];
      gatherImages(images, picked, imageData.data);
      gatherLabels(images, picked, labelData.data);
      const stepKey = foldIn(key, 'step', t);
      const out = (await step.run({
        parameters: current.parameters,
        moments: current.moments,
        images: imageData,
        labels: labelData,
        noise: noiseFor(noiseSpecs, stepKey),
        rows: Object.fromEntries(subsampled.map((l) => [l.name, kernelRows(model, l, stepKey)])),
        rate: f32([], Float32Array.of(correctedRate(learningRateAt(options, t), t))),
        divergenceWeight: f32(
          [],
          Float32Array.of(options.temperature * Math.min(1, t / Math.max(1, options.warmUp))),
        ),
      } as never)) as unknown as {
        terms: Record<string, NdArray>;
        parameters: Arrays;
        moments: Moments<NdArray>;
      };
      current = { step: t, parameters: out.parameters, moments: out.moments };
      const terms = {
        expectedLogLikelihood: out.terms.expectedLogLikelihood.data[0],
        priorTerm: out.terms.priorTerm.data[0],
        entropyTerm: out.terms.entropyTerm.data[0],
      };
      const bound = terms.expectedLogLikelihood + terms.priorTerm + terms.entropyTerm;
      if (!Number.isFinite(bound))
        throw new DwpError(
          'DIVERGED',
          `the bound became ${bound} at step ${t}`,
          'try a smaller --learning-rate',
        );
      if (t % options.logEvery === 0 || t === options.steps) hooks.trace?.({ step: t, bound, ...terms });
      hooks.stepped?.(current);
    }
  } finally {
    await step.release();
  }
  return current;
}

/** Parameters of the priors of all layers in one flat list, `layer.parameter`. */
export const priorConstants = ({ priors }: Model): Arrays =>
  Object.fromEntries(
    Object.entries(priors).flatMap(([layer, { parameters }]) =>
      Object.entries(parameters).map(([name, array]) => [`${layer}.${name}`, array]),
    ),
  );

/** S different rows of a layer's kernels, uniformly at random. */
function kernelRows(model: Model, layer: ConvLayer, key: Key): NdArray {
  const size = subsampleSize(model, layer);
  const order = new RandomStream(foldIn(key, layer.name, 'rows')).permutation(kernelCount(layer));
  return { shape: [size], data: order.slice(0, size) };
}

function decay(model: Model, parameters: Tensors, { weightDecay, denseDecay }: NetworkOptions): tf.Tensor {
  const half = (x: tf.Tensor, factor: number) => tf.mul(tf.sum(tf.square(x)), 0.5 * factor);
  let penalty: tf.Tensor = tf.scalar(0);
  if (denseDecay > 0)
    for (const { name } of denseLayers(model.architecture))
      penalty = tf.add(penalty, half(parameters[`${name}.kernel`], denseDecay));
  if (weightDecay > 0 && !model.posterior.kernels)
    for (const { name } of convLayers(model.architecture))
      penalty = tf.add(penalty, half(parameters[`${name}.mean`], weightDecay));
  return penalty;
}
