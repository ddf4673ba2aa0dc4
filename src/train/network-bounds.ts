// What is known of a trained network's evidence bound: E_q log p(W) and E_q log q(W) of every layer enclosed from both
// sides at growing numbers of samples K, and from them KL(q‖p) and the bound itself (docs/math.md, section 6).
import { HIERARCHICAL } from '../bounds/settings.js';
import { foldIn } from '../engine/index.js';
import { type Enclosure, type LayerDraw, layerBounds } from '../evaluate/layer-bounds.js';
import { mean, standardError } from '../evaluate/summary.js';
import { kernelCount, kernelLayout, randomLayers, weightShape } from '../network/index.js';
import type { Arrays } from '../priors/index.js';
import { logLikelihoods, type TrainedNetwork } from './log-likelihood.js';

/** An average over draws of the weights, nats. */
export interface Estimate {
  mean: number;
  standardError: number;
}

/** The expectation of `lower` is at most, that of `upper` at least, the quantity. */
export interface Interval {
  lower: Estimate;
  upper: Estimate;
}

export interface AtSamples extends Interval {
  samples: number;
  /** Share of upper − lower that is one kernel's (or one group's) in one draw. */
  widestShare: number;
  /** False where that is so much that the average may not have settled, and `upper` may be too low. */
  settled: boolean;
}

/** An expectation, nats for the layer. */
export interface Term {
  /** Known without a bound: lower and upper are the same. */
  exact: boolean;
  /** By K, increasing. */
  at: AtSamples[];
  /** The bound that training used, with its own K: a lower bound of E_q log p, an upper bound of E_q log q. */
  trained: Estimate & { samples: number };
  /** How far `trained` is from the expectation, between the tightest bounds of it. */
  gap: Interval;
}

export interface BoundedLayer {
  layer: string;
  size: string;
  kernels: number;
  /** E_q log p(w), summed over the layer's kernels. */
  logPrior: Term;
  /** E_q log q(w). */
  logPosterior: Term;
  /** KL(q‖p) by K. */
  divergence: (Interval & { samples: number })[];
}

export interface NetworkBounds {
  draws: number;
  expectedLogLikelihood: Estimate;
  layers: BoundedLayer[];
  total: {
    logPrior: Term;
    logPosterior: Term;
    divergence: (Interval & { samples: number })[];
    /** Evidence lower bound (7) at T = 1. */
    elbo: (Interval & { samples: number })[];
    /** (3), with the bounds that training used. */
    trained: Estimate;
  };
  /** The largest gap between what training used and the expectation; null where all expectations are exact. */
  largestGap: { layer: string; term: 'logPrior' | 'logPosterior'; samples: number; gap: Interval } | null;
}

/** What the bounds are computed of, and with what effort. */
export interface BoundedNetwork extends TrainedNetwork {
  parameters: Arrays;
  /** Numbers K ≥ 1, increasing. */
  samples: readonly number[];
  /** Of the weights, 2 or more. */
  draws: number;
}

/** @param progress may throw, to end the work */
export async function networkBounds(
  bounded: BoundedNetwork,
  progress?: (phase: 'log-likelihood' | 'bounds', done: number, total: number) => void,
): Promise<NetworkBounds> {
  const { model, parameters, samples, draws, engine, key } = bounded;
  const likelihood = await logLikelihoods({ ...bounded, key: foldIn(key, 'likelihood') }, (m) =>
    progress?.('log-likelihood', m, draws),
  );
  const layers = randomLayers(model.architecture).filter(({ name }) => model.priors[name]);
  const bounds = await Promise.all(
    layers.map((layer) => layerBounds({ model, layer, parameters, samples, engine })),
  );
  const total = draws * bounds.reduce((sum, { cost }) => sum + cost, 0);
  let done = 0;
  const drawn: LayerDraw[][] = [];
  for (const [i, { name }] of layers.entries()) {
    const all: LayerDraw[] = [];
    for (let m = 0; m < draws; m++)
      all.push(
        await bounds[i].draw(foldIn(key, name, m), (weights) => {
          done += weights;
          progress?.('bounds', done, total);
        }),
      );
    drawn.push(all);
    await bounds[i].release();
  }

  const fit = estimate(likelihood);
  const { priorSamples, posteriorSamples } = model.bound ?? HIERARCHICAL;
  // (28): sides that belong together, of the same draws
  const summary = (
    all: readonly LayerDraw[],
    exact: { prior: boolean; posterior: boolean },
    kernels: number,
  ) => ({
    logPrior: term(all, 'prior', { samples, exact: exact.prior, trainedSamples: priorSamples, kernels }),
    logPosterior: term(all, 'posterior', {
      samples,
      exact: exact.posterior,
      trainedSamples: posteriorSamples,
      kernels,
    }),
    divergence: intervals(samples, (k, side) =>
      all.map(({ prior, posterior }) => posterior[k][side] - prior[k][opposite(side)]),
    ).map((interval) => (interval.lower.mean < 0 ? { ...interval, lower: ZERO } : interval)),
  });
  const whole = Array.from({ length: draws }, (_, m) => sumOf(drawn.map((all) => all[m])));
  const reported = layers.map((layer, i): BoundedLayer => {
    const [, , h, w] = weightShape(layer);
    const span = kernelLayout(layer).length / (h * w);
    return {
      layer: layer.name,
      size: `${span > 1 ? `${span}x` : ''}${h}x${w}`,
      kernels: kernelCount(layer),
      ...summary(drawn[i], bounds[i].exact, kernelCount(layer)),
    };
  });
  return {
    draws,
    expectedLogLikelihood: fit,
    layers: reported,
    total: {
      ...summary(
        whole,
        {
          prior: bounds.every(({ exact }) => exact.prior),
          posterior: bounds.every(({ exact }) => exact.posterior),
        },
        reported.reduce((all, { kernels }) => all + kernels, 0),
      ),
      elbo: intervals(samples, (k, side) =>
        whole.map(({ prior, posterior }, m) => likelihood[m] + prior[k][side] - posterior[k][opposite(side)]),
      ).map((interval) => (interval.upper.mean > fit.mean ? { ...interval, upper: fit } : interval)),
      trained: estimate(whole.map(({ trained }, m) => likelihood[m] + trained.prior - trained.posterior)),
    },
    largestGap: largestGap(reported),
  };
}

/** KL(q‖p) is at least that, and the evidence bound at most the likelihood term, whatever the samples say. */
const ZERO: Estimate = { mean: 0, standardError: 0 };

type Side = 'lower' | 'upper';
const opposite = (side: Side): Side => (side === 'lower' ? 'upper' : 'lower');

/** Infinite where one value is: a bound beyond double precision. */
const estimate = (values: readonly number[]): Estimate =>
  values.every(Number.isFinite)
    ? { mean: mean(values), standardError: standardError(values) }
    : { mean: values.find((x) => !Number.isFinite(x))!, standardError: Number.POSITIVE_INFINITY };

const intervals = (samples: readonly number[], values: (k: number, side: Side) => number[]) =>
  samples.map((K, k) => ({
    samples: K,
    lower: estimate(values(k, 'lower')),
    upper: estimate(values(k, 'upper')),
  }));

function term(
  all: readonly LayerDraw[],
  which: 'prior' | 'posterior',
  {
    samples,
    exact,
    trainedSamples,
    kernels,
  }: { samples: readonly number[]; exact: boolean; trainedSamples: number; kernels: number },
): Term {
  const last = samples.length - 1;
  // (29): a lower bound is below by so much, an upper bound above; positive either way
  const gap = (side: Side) =>
    all.map((draw) =>
      which === 'prior'
        ? draw.prior[last][side] - draw.trained.prior
        : draw.trained.posterior - draw.posterior[last][opposite(side)],
    );
  return {
    exact,
    at: intervals(samples, (k, side) => all.map((draw) => draw[which][k][side])).map((interval, k) => ({
      ...interval,
      ...shares(
        all.map((draw) => draw[which][k]),
        which,
        kernels,
      ),
    })),
    trained: { samples: trainedSamples, ...estimate(all.map(({ trained }) => trained[which])) },
    gap: { lower: estimate(gap('lower')), upper: estimate(gap('upper')) },
  };
}

/** From this share on an average of (27) is not settled; where even shares are not small, from so many times those. */
const MOST = 0.1;
const UNEVEN = 5;

function shares(draws: readonly Enclosure[], which: 'prior' | 'posterior', kernels: number) {
  const width = draws.reduce((sum, { lower, upper }) => sum + upper - lower, 0);
  const widest = Math.max(...draws.map((draw) => draw.widest));
  const widestShare = width > 0 ? (Number.isFinite(width) ? widest / width : 1) : 0;
  const most = Math.max(MOST, Math.min(0.9, UNEVEN / (kernels * draws.length)));
  return { widestShare, settled: which === 'posterior' || widestShare <= most };
}

/** The layers together, in one draw. */
function sumOf(layers: readonly LayerDraw[]): LayerDraw {
  const sides = (which: 'prior' | 'posterior') =>
    layers[0][which].map((_, k) => ({
      lower: layers.reduce((sum, layer) => sum + layer[which][k].lower, 0),
      upper: layers.reduce((sum, layer) => sum + layer[which][k].upper, 0),
      widest: Math.max(...layers.map((layer) => layer[which][k].widest)),
    }));
  const trained = (which: 'prior' | 'posterior') =>
    layers.reduce((sum, layer) => sum + layer.trained[which], 0);
  return {
    prior: sides('prior'),
    posterior: sides('posterior'),
    trained: { prior: trained('prior'), posterior: trained('posterior') },
  };
}

/** By the certain part of the gap: the trained bound against the nearer of the tightest two. */
function largestGap(layers: readonly BoundedLayer[]): NetworkBounds['largestGap'] {
  const gaps = layers.flatMap((bounded) =>
    (['logPrior', 'logPosterior'] as const)
      .filter((which) => !bounded[which].exact)
      .map((which) => ({
        layer: bounded.layer,
        term: which,
        samples: bounded[which].trained.samples,
        gap: bounded[which].gap,
      })),
  );
  return gaps.reduce<NetworkBounds['largestGap']>(
    (best, next) => (best && best.gap.lower.mean >= next.gap.lower.mean ? best : next),
    null,
  );
}
