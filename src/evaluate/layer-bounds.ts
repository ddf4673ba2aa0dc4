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
import { groupCount, kernelRows, type SemiImplicitPosterior } from '../posteriors/index.js';
import type { Arrays, Specs, Tensors } from '../priors/index.js';
import { byTangents, fromAbove, fromBelow } from './importance.js';
import { CHUNK, type WeightStream, weightStream } from './log-weights.js';

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

const sum = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0);

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

export async function layerBounds({
  model,
  layer,
  parameters: allParameters,
  samples,
  engine,
  chunk = CHUNK,
}: BoundedLayerWeights): Promise<LayerBounds> {
  const { posterior, bound = HIERARCHICAL } = model;
  const prior = model.priors[layer.name];
  const { count: n, length: d } = kernelLayout(layer);
  const parameters = layerPart(allParameters, layer);
  const adapted = groupPart(parameters, 'adapted');
  const constants = { parameters, prior: { ...prior.parameters, ...adapted } };
  const streams: WeightStream[] = [];
  const stream = async (of: Parameters<typeof weightStream>[0]) => {
    const made = await weightStream(of, engine, chunk);
    streams.push(made);
    return made;
  };

  /** Weights of z under the prior, proposed as `settings` says. */
  const priorStream = (settings: Pick<BoundSettings, 'encoder' | 'proposal'>, count: number) => {
    const { density } = prior;
    if (density.kind === 'exact') return undefined;
    return stream({
      units: n,
      latentSize: density.latentSize,
      samples: count,
      separable: true,
      given: { w: [d] },
      constants,
      weights(rows, { w }, noise, { parameters, prior }) {
        const encoder = groupPart(parameters, 'auxiliary');
        const auxiliary = settings.encoder === 'local' ? gathered(encoder, rows!) : encoder;
        const r = priorProposal(density, prior, w, settings, auxiliary);
        return { proposed: logImportanceWeight(density.of(prior), w, reparameterise(r, noise), r) };
      },
    });
  };
  const most = (own: number) => Math.max(1, own, ...samples);
  // The tightest bounds have an encoder, whatever training used; the prior's own where none was trained along.
  const auxiliary = bound.proposal === 'auxiliary';
  const tightest = {
    encoder: auxiliary ? bound.encoder : ('frozen' as const),
    proposal: 'auxiliary' as const,
  };
  const below = most(auxiliary ? bound.priorSamples : 0); // (4) has so many weights, (27) one more
  const priorWeights = await priorStream(tightest, samples.length > 0 ? below + 1 : below);
  const trainedWeights = auxiliary ? undefined : await priorStream(bound, bound.priorSamples);

  const latent = posterior.latent?.(layer);
  const groups = groupCount(layer, latent?.shared ?? 'kernel');
  const separable = latent?.shared === 'kernel';
  const specs: Specs = {
    kernels: spec([groups, (n * d) / groups]),
    ...(latent && { latent: spec([groups, latent.size]) }),
  };
  /** q of the units in `rows`, or of all; with a ζ that its proposals suit. */
  const jointOf = (q: SemiImplicitPosterior) => (bound.proposal === 'prior' && q.standard) || q;
  const posteriorWeights =
    latent &&
    (await stream({
      units: groups,
      latentSize: latent.size,
      samples: most(bound.posteriorSamples),
      separable,
      given: { w: specs.kernels.shape.slice(1), latent: [latent.size] },
      constants,
      weights(rows, { w, latent }, noise, { parameters }) {
        const { density } = jointOf(posterior.kernels!(layer, parameters, rows) as SemiImplicitPosterior);
        const s = proposalOf(density, w, bound.proposal);
        return {
          proposed: logImportanceWeight(density, w, reparameterise(s, noise), s),
          own: logImportanceWeight(density, w, latent, s),
        };
      },
    }));

  const draw = await engine.compile(
    ({ noise }, constants): Tensors => {
      const q = posterior.kernels!(layer, constants.parameters);
      const drawn =
        q.kind === 'diagonal'
          ? { w: reparameterise(q, noise.kernels) }
          : jointOf(q).draw({ kernels: noise.kernels, latent: noise.latent });
      const kernels = kernelRows(layer, drawn.w); // [n, d], of groups [g, D]
      const { density } = prior;
      const exactPrior =
        density.kind === 'exact' &&
        ((q.kind === 'diagonal' && density.expectedLogDensity?.(constants.prior, q)) ||
          density.logDensity(constants.prior, kernels));
      return {
        ...Object.fromEntries(Object.entries({ ...drawn, kernels }).map(([name, x]) => [name, tf.clone(x)])),
        ...(exactPrior && { prior: exactPrior }),
        ...(q.kind === 'diagonal' && { posterior: negativeEntropy(q) }),
      };
    },
    { inputs: { noise: specs }, constants: constants },
  );

  return {
    exact: { prior: !priorWeights, posterior: !posteriorWeights },
    cost: streams.reduce((total, { cost }) => total + cost, 0),
    async draw(key, done) {
      const drawn = await draw.run({
        noise: noiseFor(specs, foldIn(key, 'weights')),
      });
      const exactly = (x: NdArray | undefined) => {
        const value = x ? sum(x.data) : 0;
        return { value, sides: samples.map(() => ({ lower: value, upper: value, widest: 0 })) };
      };
      const known = { prior: exactly(drawn.prior), posterior: exactly(drawn.posterior) };
      const result: LayerDraw = {
        prior: known.prior.sides,
        posterior: known.posterior.sides,
        trained: { prior: known.prior.value, posterior: known.posterior.value },
      };
      const add = (sides: Enclosure[], i: number, lower: number, upper: number) => {
        sides[i].lower += lower;
        sides[i].upper += upper;
        sides[i].widest = Math.max(sides[i].widest, upper - lower);
      };
      await priorWeights?.run(
        { w: drawn.kernels },
        foldIn(key, 'prior'),
        (_, weights) => {
          for (const [i, K] of samples.entries())
            add(result.prior, i, fromBelow(weights.subarray(0, below), K), byTangents(weights, K));
          if (auxiliary) result.trained.prior += fromBelow(weights.subarray(0, below), bound.priorSamples);
        },
        done,
      );
      await trainedWeights?.run(
        { w: drawn.kernels },
        foldIn(key, 'trained'),
        (_, weights) => {
          result.trained.prior += fromBelow(weights, bound.priorSamples);
        },
        done,
      );
      await posteriorWeights?.run(
        { w: drawn.w, latent: drawn.latent },
        foldIn(key, 'posterior'),
        (_, weights, own) => {
          for (const [i, K] of samples.entries())
            add(result.posterior, i, fromBelow(weights, K), fromAbove(own, weights, K));
          result.trained.posterior += fromAbove(own, weights, bound.posteriorSamples);
        },
        done,
      );
      return result;
    },
    async release() {
      for (const made of streams) await made.release();
      await draw.release();
    },
  };
}
