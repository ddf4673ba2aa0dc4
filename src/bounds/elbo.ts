// The evidence lower bound (7) of a CNN with random weights, or (3) below it, on one mini-batch:
//   L = (N/B) Σ_b log p(y_b | x_b, W) + Σ_layers (n/S) Σ_s E_q log p(w_s) + Σ_layers Σ H[q(w)]
// The first sum is over the batch, the second over a uniform subsample of S of the layer's n kernels; both are
// unbiased for the whole (docs/math.md, section 1). All terms are in nats for the whole training set.
import { negativeEntropy } from '../distributions/normal.js';
import { nested, prefixed, type Specs, spec, type Tensors, tf } from '../engine/index.js';
import {
  type Architecture,
  type ForwardContext,
  forward,
  groupPart,
  kernelCount,
  kernelLayout,
  type Layer,
  layerNoise,
  layerPart,
  logLikelihood,
  randomLayers,
  weightShape,
  withKeys,
} from '../network/index.js';
import {
  type Estimator,
  groupCount,
  kernelRows,
  type Posterior,
  type SemiImplicitPosterior,
} from '../posteriors/index.js';
import type { KernelPrior } from '../priors/index.js';
import { proposalOf, upperBound } from './hierarchical.js';
import { expectedLogDensity, latentNoise, logPrior, priorNoise } from './prior-term.js';
import { type BoundSettings, HIERARCHICAL } from './settings.js';
import { chainNoise, type UnbiasedNoise, unbiasedLogQ } from './unbiased.js';

/** Everything about a network's training that does not change from step to step. */
export interface Model {
  architecture: Architecture;
  posterior: Posterior;
  estimator: Estimator;
  /** Prior of each random layer by its name (6); none for deterministic training. */
  priors: Readonly<Record<string, KernelPrior>>;
  /** Names of the parameters of a layer's prior that are learned along, by layer (empirical Bayes). */
  adapted?: Readonly<Record<string, readonly string[]>>;
  /** Training examples N. */
  examples: number;
  /** Kernels S of a layer in the prior term of one step; all when the layer has fewer. */
  kernelSubsample: number;
  /** (1) and (2) with the prior's own encoder, where nothing is said. */
  bound?: BoundSettings;
  /** Σ_b log p(y_b | x_b, W), nats, of a network's outputs [b, ..]; those of a classifier where nothing is said. */
  logLikelihood?: (outputs: tf.Tensor2D, labels: tf.Tensor1D) => tf.Scalar;
}

export interface BoundTerms {
  /** (N/B) Σ log p(y|x, W) */
  expectedLogLikelihood: tf.Scalar;
  /** E_q log p(W), or a lower bound on it */
  priorTerm: tf.Scalar;
  /** H[q] = −E_q log q(W), or a lower bound on it */
  entropyTerm: tf.Scalar;
  /** Mean acceptance of the chains over ζ of all layers, where there are some. */
  acceptance?: tf.Scalar;
}

/** How many of a layer's kernels a step's prior term uses. */
export function subsampleSize({ priors, posterior, kernelSubsample }: Model, layer: Layer): number {
  // the exact density of single weights costs next to nothing
  const cheap = kernelLayout(layer).length === 1 && priors[layer.name]?.density.kind === 'exact';
  const all = cheap && posterior.latent?.(layer).shared !== 'kernel';
  return all ? kernelCount(layer) : Math.min(kernelSubsample, kernelCount(layer));
}

/** Standard normals that one step needs, by layer and use. */
export function boundNoise(model: Model, batch: number): Specs {
  return Object.assign(
    prefixed(layerNoise(model.architecture, batch), LAYERS),
    ...randomLayers(model.architecture).flatMap((layer) => {
      const prior = model.priors[layer.name];
      return [
        withKeys(model.posterior.noise(layer, batch, model.estimator), layer, 'likelihood'),
        prior && model.posterior.kernels
          ? withKeys(divergenceNoise(model, layer, prior), layer, 'prior')
          : {},
      ];
    }),
  );
}

function divergenceNoise(model: Model, layer: Layer, prior: KernelPrior): Specs {
  const { posterior, bound = HIERARCHICAL } = model;
  const n = subsampleSize(model, layer);
  const latent = posterior.latent?.(layer);
  if (!latent) return priorNoise(prior, n, bound);
  // ζ that kernels share belong to all of them, whichever of the kernels the prior term uses
  const groups = latent.shared === 'kernel' ? n : groupCount(layer, latent.shared);
  return {
    kernels: spec([groups, weightCount(layer) / groupCount(layer, latent.shared)]),
    mixing: spec([groups, latent.size]),
    ...(bound.posteriorSamples > 0 && { proposed: spec([bound.posteriorSamples, groups, latent.size]) }),
    ...(bound.chain && chainNoise(bound.chain, groups, latent.size)),
    ...latentNoise(prior, n, bound),
  };
}

const weightCount = (layer: Layer): number => weightShape(layer).reduce((a, b) => a * b);

/** Standard normals of layers without weights, among the noise of a step. */
const LAYERS = 'layers';

/**
 * Logits [n, classes] of a batch under random weights, and the next running averages in training, or the statistics of
 * the batch.
 * @param context mode, and running averages of the network; they are among the parameters where nothing is said
 */
export function randomOutputs(
  model: Model,
  parameters: Tensors,
  images: tf.Tensor4D,
  noise: Tensors,
  context: Pick<ForwardContext, 'state' | 'mode'> = {},
): { outputs: tf.Tensor2D; averages: Tensors } {
  return forward(model.architecture, images, {
    parameters,
    ...context,
    noise: nested(noise, LAYERS),
    random: (layer, x) =>
      model.posterior.apply(
        layer,
        layerPart(parameters, layer),
        x,
        layerPart(noise, layer, 'likelihood'),
        model.estimator,
      ),
  });
}

/** What the bound of one step is computed from. */
export interface BoundBatch {
  images: tf.Tensor4D;
  labels: tf.Tensor1D;
  /** As of {@link boundNoise}. */
  noise: Tensors;
  /** For each layer whose kernels are subsampled, the S row numbers of this step. */
  rows: Tensors;
  /** Running averages of the network; none unless given. */
  averages?: Tensors;
}

/**
 * @param priorParameters parameters of each layer's prior, named `layer.parameter`
 * @returns the terms, and the next running averages
 */
export function boundTerms(
  model: Model,
  parameters: Tensors,
  priorParameters: Tensors,
  batch: BoundBatch,
): BoundTerms & { averages: Tensors } {
  const { outputs, averages: next } = randomOutputs(model, parameters, batch.images, batch.noise, {
    state: batch.averages ?? {},
    mode: 'training',
  });
  const batchLogLikelihood = (model.logLikelihood ?? logLikelihood)(outputs, batch.labels);
  const scale = model.examples / batch.labels.shape[0]; // (8)
  let priorTerm: tf.Tensor = tf.scalar(0);
  let entropyTerm: tf.Tensor = tf.scalar(0);
  const acceptance: tf.Scalar[] = [];
  for (const layer of randomLayers(model.architecture)) {
    const prior = model.priors[layer.name];
    if (!model.posterior.kernels || !prior) continue;
    const terms = divergenceTerms(model, layer, prior, {
      parameters: layerPart(parameters, layer),
      priorParameters: {
        ...layerPart(priorParameters, layer),
        ...layerPart(parameters, layer, 'adapted'),
      },
      noise: layerPart(batch.noise, layer, 'prior'),
      rows: batch.rows[layer.name] as tf.Tensor1D | undefined,
    });
    priorTerm = tf.add(priorTerm, terms.prior);
    entropyTerm = tf.add(entropyTerm, terms.entropy);
    if (terms.acceptance) acceptance.push(terms.acceptance);
  }
  return {
    expectedLogLikelihood: tf.mul(batchLogLikelihood, scale) as tf.Scalar,
    priorTerm: priorTerm as tf.Scalar,
    entropyTerm: entropyTerm as tf.Scalar,
    averages: next,
    ...(acceptance.length > 0 && { acceptance: tf.mean(tf.stack(acceptance)) as tf.Scalar }),
  };
}

/** A layer's own part of what a step is given. */
interface LayerInputs {
  parameters: Tensors;
  priorParameters: Tensors;
  noise: Tensors;
  /** Of the kernels that the prior term uses; all unless given. */
  rows?: tf.Tensor1D;
}

/** A layer's prior and entropy terms, nats for all its kernels. */
function divergenceTerms(
  { posterior, bound = HIERARCHICAL }: Model,
  layer: Layer,
  prior: KernelPrior,
  { parameters, priorParameters, noise, rows }: LayerInputs,
): { prior: tf.Tensor; entropy: tf.Tensor; acceptance?: tf.Scalar } {
  const total = (each: tf.Tensor, count: number) => tf.mul(tf.sum(each), count / each.shape[0]!); // (9)
  const n = kernelCount(layer);
  const encoder = groupPart(parameters, 'auxiliary');
  const auxiliary = bound.encoder === 'local' && rows ? gathered(encoder, rows) : encoder;
  const shared = posterior.latent?.(layer).shared ?? 'kernel';
  const inRows = shared === 'kernel' ? rows : undefined;
  const q = posterior.kernels!(layer, parameters, inRows);
  if (q.kind === 'diagonal') {
    const perKernel = expectedLogDensity(prior, priorParameters, q, noise, { settings: bound, auxiliary });
    const whole = rows ? (posterior.kernels!(layer, parameters) as typeof q) : q; // cheap: always of all kernels
    return { prior: total(perKernel, n), entropy: tf.neg(tf.sum(negativeEntropy(whole))) };
  }
  // One joint draw of w and ζ serves both terms. The prior term is a sum over kernels, of which `rows` are enough; the
  // entropy is a sum over groups, and not over the kernels of one, so that a group is always whole (30).
  const { density, draw } = (bound.proposal === 'prior' && q.standard) || q;
  const { w, latent } = draw({ kernels: noise.kernels, latent: noise.mixing }); // [g, D], [g, l]
  const kernels = shared === 'kernel' ? w : kernelRows(layer, w, rows); // [n, d]
  const priorTerm = total(
    logPrior(prior, priorParameters, kernels, noise, { settings: bound, auxiliary }),
    n,
  );
  const entropy = (logQ: tf.Tensor) => tf.neg(total(logQ, groupCount(layer, shared)));
  if (bound.chain) {
    const { logQ, acceptance } = unbiasedLogQ(
      (parameters) => posterior.kernels!(layer, parameters, inRows) as SemiImplicitPosterior,
      parameters,
      w,
      noise as UnbiasedNoise,
      {
        gradients: bound.gradients,
        chain: bound.chain,
        logStep: groupPart(parameters, 'chain').logStep,
      },
    );
    return { prior: priorTerm, entropy: entropy(logQ), acceptance: acceptance as tf.Scalar };
  }
  const s = proposalOf(density, w, bound.proposal);
  const logQ = upperBound(density, w, latent, noise.proposed, { s, gradients: bound.gradients });
  return { prior: priorTerm, entropy: entropy(logQ) };
}

/** Some rows of each tensor. */
export const gathered = (tensors: Tensors, rows: tf.Tensor1D): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, x]) => [name, tf.gather(x, rows)]));
