// E_q log p(w) and E_q log q(w) of a layer, enclosed from below and above with any numbers of samples K: (4), (27) and
// (5), and, beside them, the bounds that the layer was trained with. Sums over all its kernels, in nats.
import { gathered, type Model } from '../bounds/elbo.js';
import { proposalOf } from '../bounds/hierarchical.js';
import { priorProposal } from '../bounds/prior-term.js';
import { type BoundSettings, HIERARCHICAL } from '../bounds/settings.js';
import { logImportanceWeight } from '../distributions/latent.js';
import { negativeEntropy, reparameterise } from '../distributions/normal.js';
import { type Engine, foldIn, type Key, type NdArray, noiseFor, spec, tf } from '../engine/index.js';
import { groupPart, kernelLayout, type Layer, layerPart } from '../network/index.js';
import {
  groupCount,
  type JointDensity,
  kernelRows,
  type SemiImplicitPosterior,
} from '../posteriors/index.js';
import type { Arrays, Specs, Tensors } from '../priors/index.js';
import { byTangents, fromAbove, fromBelow } from './importance.js';
import { CHUNK, type WeightedUnits, type WeightStream, weightStream } from './log-weights.js';

/** An expectation at one K, nats for the layer; both sides are the same number where it is known exactly. */
export interface Enclosure {
  lower: number;
  upper: number;
  /** The largest share of one unit (a kernel, or a group that shares its ζ) in upper − lower. */
  widest: number;
}

/** Of one draw of the layer's weights. */
export interface LayerDraw {
  /** E_q log p(w) at each K. */
  prior: Enclosure[];
  /** E_q log q(w) at each K. */
  posterior: Enclosure[];
  /** What training used: a lower bound of the former, an upper bound of the latter. */
  trained: { prior: number; posterior: number };
}

export interface LayerBounds {
  /** Whether the expectation needs no bound. */
  exact: { prior: boolean; posterior: boolean };
  /** Log weights that one draw computes. */
  cost: number;
  /** @param done called with numbers of log weights as they are computed */
  draw(key: Key, done?: (weights: number) => void): Promise<LayerDraw>;
  release(): Promise<void>;
}

/** Whose bounds, and at what numbers of samples. */
export interface BoundedLayerWeights {
  model: Model;
  layer: Layer;
  /** Of the whole network. */
  parameters: Arrays;
  /** Numbers K. */
  samples: readonly number[];
  engine: Engine;
  /** Of {@link weightStream}. */
  chunk?: number;
}

export async function layerBounds(given: BoundedLayerWeights): Promise<LayerBounds> {
  const { samples } = given;
  const layer = prepared(given);
  const { bound } = layer;
  const hasEncoder = bound.proposal === 'auxiliary';
  const most = (trained: number) => Math.max(1, trained, ...samples);
  const below = most(hasEncoder ? bound.priorSamples : 0); // (4) has so many weights, (27) one more
  // The tightest bounds have an encoder, whatever training used; the prior's own where none was trained along.
  const tightest = await priorWeights(
    layer,
    { encoder: hasEncoder ? bound.encoder : 'frozen', proposal: 'auxiliary' },
    samples.length > 0 ? below + 1 : below,
  );
  const trained = hasEncoder ? undefined : await priorWeights(layer, bound, bound.priorSamples);
  const posterior = await posteriorWeights(layer, most(bound.posteriorSamples));
  const step = await drawStep(layer);
  const streams = [tightest, trained, posterior].filter((stream) => stream !== undefined);

  return {
    exact: { prior: !tightest, posterior: !posterior },
    cost: streams.reduce((total, { cost }) => total + cost, 0),
    async draw(key, done) {
      const drawn = await step.run({ noise: noiseFor(layer.noise, foldIn(key, 'weights')) });
      const result = knownExactly(drawn, samples);
      const visitTightest = (_: number, weights: Float32Array) => {
        const fewer = weights.subarray(0, below);
        for (const [i, K] of samples.entries())
          widen(result.prior[i], fromBelow(fewer, K), byTangents(weights, K)); // (4), (27)
        if (hasEncoder) result.trained.prior += fromBelow(fewer, bound.priorSamples);
      };
      const visitTrained = (_: number, weights: Float32Array) => {
        result.trained.prior += fromBelow(weights, bound.priorSamples); // (4)
      };
      const visitPosterior = (_: number, weights: Float32Array, drawing: number) => {
        for (const [i, K] of samples.entries())
          widen(result.posterior[i], fromBelow(weights, K), fromAbove(drawing, weights, K)); // (4), (5)
        result.trained.posterior += fromAbove(drawing, weights, bound.posteriorSamples);
      };
      const { kernels, w, latent } = drawn;
      await tightest?.run({ w: kernels }, foldIn(key, 'prior'), visitTightest, done);
      await trained?.run({ w: kernels }, foldIn(key, 'trained'), visitTrained, done);
      await posterior?.run({ w, latent }, foldIn(key, 'posterior'), visitPosterior, done);
      return result;
    },
    async release() {
      for (const stream of streams) await stream.release();
      await step.release();
    },
  };
}

/** A layer with what all steps on it are given. */
type PreparedLayer = ReturnType<typeof prepared>;

function prepared({ model, layer, parameters: all, engine, chunk = CHUNK }: BoundedLayerWeights) {
  const { posterior, bound = HIERARCHICAL } = model;
  const prior = model.priors[layer.name];
  const { count, length } = kernelLayout(layer);
  const latent = posterior.latent?.(layer);
  const groups = groupCount(layer, latent?.shared ?? 'kernel');
  const parameters = layerPart(all, layer);
  const noise: Specs = {
    kernels: spec([groups, (count * length) / groups]),
    ...(latent && { latent: spec([groups, latent.size]) }),
  };
  return {
    ...{ layer, posterior, prior, bound, latent, groups, noise, engine, chunk },
    constants: { parameters, prior: { ...prior.parameters, ...groupPart(parameters, 'adapted') } },
  };
}

/** Log weights of z for every kernel, proposed as `settings` says; none where log p(w) is known. */
async function priorWeights(
  { layer, prior: { density }, constants, engine, chunk }: PreparedLayer,
  settings: Pick<BoundSettings, 'encoder' | 'proposal'>,
  samples: number,
): Promise<WeightStream | undefined> {
  if (density.kind === 'exact') return undefined;
  const { count, length } = kernelLayout(layer);
  const kernels: WeightedUnits = {
    units: count,
    latentSize: density.latentSize,
    samples,
    separable: true,
    given: { w: [length] },
    constants,
    weights(rows, { w }, noise, { parameters, prior }) {
      const encoder = groupPart(parameters, 'auxiliary');
      const auxiliary = settings.encoder === 'local' ? gathered(encoder, rows!) : encoder;
      const r = priorProposal(density, prior, w, settings, auxiliary);
      return { proposed: logImportanceWeight(density.of(prior), w, reparameterise(r, noise), r) };
    },
  };
  return weightStream(kernels, engine, chunk);
}

/** Log weights of ζ for every kernel, or every group that shares one; none where q has no ζ. */
async function posteriorWeights(
  { layer, posterior, bound, latent, groups, noise, constants, engine, chunk }: PreparedLayer,
  samples: number,
): Promise<WeightStream | undefined> {
  if (!latent) return undefined;
  const units: WeightedUnits = {
    units: groups,
    latentSize: latent.size,
    samples,
    separable: latent.shared === 'kernel',
    given: { w: noise.kernels.shape.slice(1), latent: [latent.size] },
    constants,
    weights(rows, { w, latent }, noise, { parameters }) {
      const q = posterior.kernels!(layer, parameters, rows) as SemiImplicitPosterior;
      const { density } = jointDensity(q, bound);
      const s = proposalOf(density, w, bound.proposal);
      return {
        proposed: logImportanceWeight(density, w, reparameterise(s, noise), s),
        own: logImportanceWeight(density, w, latent, s),
      };
    },
  };
  return weightStream(units, engine, chunk);
}

/** q of weights and ζ, with a ζ that its proposals suit. */
const jointDensity = (q: SemiImplicitPosterior, bound: BoundSettings): JointDensity =>
  (bound.proposal === 'prior' && q.standard) || q;

/** A step that draws the layer's weights, and computes E_q log p and E_q log q of each kernel where they are known. */
const drawStep = ({ layer, posterior, prior: { density }, bound, noise, constants, engine }: PreparedLayer) =>
  engine.compile(
    ({ noise }, { parameters, prior }): Tensors => {
      const q = posterior.kernels!(layer, parameters);
      const isDiagonal = q.kind === 'diagonal';
      const drawn = isDiagonal
        ? { w: reparameterise(q, noise.kernels) }
        : jointDensity(q, bound).draw({ kernels: noise.kernels, latent: noise.latent });
      const kernels = kernelRows(layer, drawn.w); // [n, d], of groups [g, D]
      const closedForm = density.kind === 'exact' && isDiagonal && density.expectedLogDensity?.(prior, q);
      const logPrior = density.kind === 'exact' && (closedForm || density.logDensity(prior, kernels));
      return {
        ...Object.fromEntries(Object.entries({ ...drawn, kernels }).map(([name, x]) => [name, tf.clone(x)])),
        ...(logPrior && { prior: logPrior }),
        ...(isDiagonal && { posterior: negativeEntropy(q) }),
      };
    },
    { inputs: { noise }, constants },
  );

/** Both sides at what is known exactly, at every K; 0 where nothing is. */
function knownExactly({ prior, posterior }: Arrays, samples: readonly number[]): LayerDraw {
  const total = (x?: NdArray) => Array.from(x?.data ?? []).reduce((a, b) => a + b, 0);
  const sides = (value: number) => samples.map((): Enclosure => ({ lower: value, upper: value, widest: 0 }));
  const trained = { prior: total(prior), posterior: total(posterior) };
  return { prior: sides(trained.prior), posterior: sides(trained.posterior), trained };
}

/** Adds what one unit has. */
function widen(side: Enclosure, lower: number, upper: number): void {
  side.lower += lower;
  side.upper += upper;
  side.widest = Math.max(side.widest, upper - lower);
}
