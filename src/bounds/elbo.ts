// The evidence lower bound of a CNN with random convolution weights, on one mini-batch:
//   L = (N/B) Σ_b log p(y_b | x_b, W) + Σ_layers (n/S) Σ_s E_q log p(w_s) + Σ_layers Σ H[q(w)]
// The first sum is over the batch, the second over a uniform subsample of S of the layer's n kernels; both are
// unbiased for the whole (docs/math.md, section 1). All terms are in nats for the whole training set.
import { negativeEntropy } from '../distributions/normal.js';
import { spec, tf } from '../engine/index.js';
import { type Architecture, type ConvLayer, convLayers, forward, type WeightedLayers } from '../nn/index.js';
import type { Estimator, Posterior } from '../posteriors/index.js';
import type { KernelPrior, Specs, Tensors } from '../priors/index.js';
import { proposalOf, upperBound } from './hierarchical.js';
import { expectedLogDensity, latentNoise, logPrior, priorNoise } from './prior-term.js';
import { type BoundSettings, HIERARCHICAL } from './settings.js';

/** Everything about a network's training that does not change from step to step. */
export interface Model {
  architecture: Architecture;
  posterior: Posterior;
  estimator: Estimator;
  /** Prior of each convolution by the layer's name; none for deterministic training. */
  priors: Readonly<Record<string, KernelPrior>>;
  /** Training examples N. */
  examples: number;
  /** Kernels S of a layer in the prior term of one step; all when the layer has fewer. */
  kernelSubsample: number;
  /** (1) and (2) with the prior's own encoder, where nothing is said. */
  bound?: BoundSettings;
}

export interface BoundTerms {
  /** (N/B) Σ log p(y|x, W) */
  expectedLogLikelihood: tf.Scalar;
  /** E_q log p(W), or a lower bound on it */
  priorTerm: tf.Scalar;
  /** H[q] = −E_q log q(W), or a lower bound on it */
  entropyTerm: tf.Scalar;
}

export const kernelCount = ({ shape }: ConvLayer): number => shape[0] * shape[1];

/** How many of a layer's kernels a step's prior term uses. */
export const subsampleSize = (model: Model, layer: ConvLayer): number =>
  Math.min(model.kernelSubsample, kernelCount(layer));

/** Parameters of one layer from the flat list: `conv1.mean` → `mean`. */
export const ofLayer = (tensors: Tensors, layer: { name: string }): Tensors =>
  Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(`${layer.name}.`))
      .map(([name, tensor]) => [name.slice(layer.name.length + 1), tensor]),
  );

const named = (layer: { name: string }, part: string, specs: Specs): Specs =>
  Object.fromEntries(Object.entries(specs).map(([name, s]) => [`${layer.name}.${part}.${name}`, s]));

/** Standard normals that one step needs, by layer and use. */
export function boundNoise(model: Model, batch: number): Specs {
  return Object.assign(
    {},
    ...convLayers(model.architecture).flatMap((layer) => {
      const prior = model.priors[layer.name];
      return [
        named(layer, 'likelihood', model.posterior.noise(layer, batch, model.estimator)),
        prior && model.posterior.kernels ? named(layer, 'prior', divergenceNoise(model, layer, prior)) : {},
      ];
    }),
  );
}

function divergenceNoise(model: Model, layer: ConvLayer, prior: KernelPrior): Specs {
  const { posterior, bound = HIERARCHICAL } = model;
  const n = subsampleSize(model, layer);
  if (posterior.latentSize === undefined) return priorNoise(prior, n, bound);
  const l = posterior.latentSize;
  return {
    kernels: spec([n, layer.shape[2] * layer.shape[3]]),
    mixing: spec([n, l]),
    ...(bound.posteriorSamples > 0 && { proposed: spec([bound.posteriorSamples, n, l]) }),
    ...latentNoise(prior, n, bound),
  };
}

/** Logits [n, classes] of a batch under random weights. */
export function randomLogits(
  model: Model,
  parameters: Tensors,
  images: tf.Tensor4D,
  noise: Tensors,
): tf.Tensor2D {
  const weighted: WeightedLayers = {
    conv: (layer, x) =>
      tf.add(
        model.posterior.convolve(
          layer,
          ofLayer(parameters, layer),
          x,
          ofLayer(noise, { name: `${layer.name}.likelihood` }),
          model.estimator,
        ),
        parameters[`${layer.name}.bias`],
      ),
    dense: (layer, x) =>
      tf.add(
        tf.matMul(x, parameters[`${layer.name}.kernel`] as tf.Tensor2D),
        parameters[`${layer.name}.bias`],
      ),
  };
  return forward(model.architecture, images, weighted);
}

/** Σ_b log p(y_b | x_b, W), nats. */
export function logLikelihood(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar {
  return tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(labels, logits.shape[1]))) as tf.Scalar;
}

/**
 * @param rows for each layer whose kernels are subsampled, the S row numbers of this step
 * @param priorParameters parameters of each layer's prior, named `layer.parameter`
 */
export function boundTerms(
  model: Model,
  parameters: Tensors,
  batch: { images: tf.Tensor4D; labels: tf.Tensor1D },
  noise: Tensors,
  rows: Tensors,
  priorParameters: Tensors,
): BoundTerms {
  const logits = randomLogits(model, parameters, batch.images, noise);
  const scale = model.examples / batch.labels.shape[0];
  let priorTerm: tf.Tensor = tf.scalar(0);
  let entropyTerm: tf.Tensor = tf.scalar(0);
  for (const layer of convLayers(model.architecture)) {
    const prior = model.priors[layer.name];
    if (!model.posterior.kernels || !prior) continue;
    const terms = divergenceTerms(
      model,
      layer,
      prior,
      ofLayer(parameters, layer),
      ofLayer(priorParameters, layer),
      ofLayer(noise, { name: `${layer.name}.prior` }),
      rows[layer.name] as tf.Tensor1D | undefined,
    );
    priorTerm = tf.add(priorTerm, terms.prior);
    entropyTerm = tf.add(entropyTerm, terms.entropy);
  }
  return {
    expectedLogLikelihood: tf.mul(logLikelihood(logits, batch.labels), scale) as tf.Scalar,
    priorTerm: priorTerm as tf.Scalar,
    entropyTerm: entropyTerm as tf.Scalar,
  };
}

/** A layer's prior and entropy terms, nats for all its kernels. */
function divergenceTerms(
  { posterior, bound = HIERARCHICAL }: Model,
  layer: ConvLayer,
  prior: KernelPrior,
  parameters: Tensors,
  priorParameters: Tensors,
  noise: Tensors,
  rows: tf.Tensor1D | undefined,
): { prior: tf.Tensor; entropy: tf.Tensor } {
  const total = (perKernel: tf.Tensor) => tf.mul(tf.sum(perKernel), kernelCount(layer) / perKernel.shape[0]!); // (9)
  const own = ofLayer(parameters, AUXILIARY);
  const auxiliary = bound.encoder === 'local' ? mapValues(own, (x) => (rows ? tf.gather(x, rows) : x)) : own;
  const q = posterior.kernels!(layer, parameters, rows);
  if (q.kind === 'diagonal') {
    const perKernel = expectedLogDensity(prior, priorParameters, q, noise, bound, auxiliary);
    const whole = rows ? (posterior.kernels!(layer, parameters) as typeof q) : q; // cheap: always of all kernels
    return { prior: total(perKernel), entropy: tf.neg(tf.sum(negativeEntropy(whole))) };
  }
  // one joint draw of w and ζ serves both terms
  const { w, latent } = q.draw({ kernels: noise.kernels, latent: noise.mixing });
  const s = proposalOf(q.density, w, bound.proposal);
  return {
    prior: total(logPrior(prior, priorParameters, w, noise, bound, auxiliary)),
    entropy: tf.neg(total(upperBound(q.density, w, latent, noise.proposed, s, bound.gradients))),
  };
}

/** Parameters of r(z|w) that are trained along, among those of their layer. */
export const AUXILIARY = { name: 'auxiliary' };

const mapValues = (tensors: Tensors, f: (x: tf.Tensor) => tf.Tensor): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, f(tensor)]));
