// Families q(w) of vectors for the estimators of this room: drawn from normals, w = f(noise; parameters), with a
// density that is known (mean field), known given ζ (semi-implicit) or not known at all (implicit).
import {
  type DiagonalNormal,
  logDensity,
  logStandardDensity,
  reparameterise,
} from '../distributions/normal.js';
import { f32, foldIn, type Key, spec, tf } from '../engine/index.js';
import { network, networkParameters } from '../posteriors/networks.js';
import type { Arrays, ExactDensity, LatentVariableDensity, Specs, Tensors } from '../priors/index.js';

/** n draws [n, d], and the ζ [n, l] that they were drawn with where q has one. */
export interface Draws {
  w: tf.Tensor;
  latent?: tf.Tensor;
}

export interface Sampler {
  family: SamplerFamily;
  dimensions: number;
  /** @param scale typical size of a coordinate of w: how wide q is at first */
  initial(scale: number, key: Key): Arrays;
  /** Standard normals for n draws. */
  noise(n: number): Specs;
  /** Differentiable in the parameters. */
  draw(parameters: Tensors, noise: Tensors): Draws;
  density: ExactDensity | LatentVariableDensity | { kind: 'unknown' };
}

export const SAMPLERS = ['mean-field', 'semi-implicit', 'implicit'] as const;
export type SamplerFamily = (typeof SAMPLERS)[number];

/** q(w) on ℝᵈ. */
export function samplerOf(family: SamplerFamily, d: number): Sampler {
  if (family === 'mean-field') return meanField(d);
  return family === 'semi-implicit' ? semiImplicit(d) : implicit(d);
}

const HIDDEN = 64;

/** g(ζ): [.., l] → [.., d]. */
const mixing = (l: number, d: number, scale: number, key: Key): Arrays =>
  networkParameters(
    'mixing',
    { inputs: l, hidden: HIDDEN, outputs: d, linear: true },
    scale / 2,
    foldIn(key, 'mixing'),
  );

/** Mean and log standard deviation of s(ζ|w), N(0, I) at first: [.., d] → [.., 2l]. */
const auxiliary = (d: number, l: number, key: Key): Arrays =>
  networkParameters(
    'auxiliary',
    { inputs: d, hidden: HIDDEN, outputs: 2 * l, linear: true },
    0,
    foldIn(key, 'auxiliary'),
  );

const LEAST_LATENT = 3;
const MOST_LATENT = 10;

/** q(w) = N(w | m, diag s²). */
function meanField(d: number): Sampler {
  const normal = ({ mean, logStd }: Tensors): DiagonalNormal => ({ mean, logStd });
  return {
    family: 'mean-field',
    dimensions: d,
    initial: (scale) => ({ mean: f32([d]), logStd: filled(d, Math.log(scale)) }),
    noise: (n) => ({ kernels: spec([n, d]) }),
    draw: (parameters, { kernels }) => ({ w: reparameterise(normal(parameters), kernels) }),
    density: { kind: 'exact', logDensity: (parameters, w) => logDensity(w, normal(parameters)) },
  };
}

/** q(w) = ∫ N(w | g(ζ), diag s²) N(ζ | 0, I) dζ with a network g; s(ζ|w) is another, which starts at N(0, I). */
function semiImplicit(d: number): Sampler {
  const l = Math.min(MOST_LATENT, Math.max(LEAST_LATENT, d));
  const given = (parameters: Tensors, latent: tf.Tensor): DiagonalNormal => ({
    mean: network(parameters, 'mixing', latent),
    logStd: parameters.logStd,
  });
  return {
    family: 'semi-implicit',
    dimensions: d,
    initial: (scale, key) => ({
      logStd: filled(d, Math.log(scale / 2)),
      ...mixing(l, d, scale, key),
      ...auxiliary(d, l, key),
    }),
    noise: (n) => ({ latent: spec([n, l]), kernels: spec([n, d]) }),
    draw: (parameters, { latent, kernels }) => ({
      w: reparameterise(given(parameters, latent), kernels),
      latent,
    }),
    density: {
      kind: 'latent',
      latentSize: l,
      encoder: Object.keys(auxiliary(d, l, [0, 0, 0, 1])),
      of: (parameters) => ({
        latentSize: l,
        encode(w) {
          const [mean, logStd] = tf.split(network(parameters, 'auxiliary', w), [l, l], -1);
          return { mean, logStd };
        },
        logLikelihood: (w, latent) => logDensity(w, given(parameters, latent)),
        logLatent: logStandardDensity,
      }),
    },
  };
}

/** w = g(ζ), ζ ~ N(0, I): nothing but draws. With a ζ of fewer dimensions than w there would be no density at all. */
function implicit(d: number): Sampler {
  const l = Math.max(LEAST_LATENT, d);
  return {
    family: 'implicit',
    dimensions: d,
    initial: (scale, key) => mixing(l, d, scale, key),
    noise: (n) => ({ latent: spec([n, l]) }),
    draw: (parameters, { latent }) => ({ w: network(parameters, 'mixing', latent) }),
    density: { kind: 'unknown' },
  };
}

const filled = (d: number, value: number) => f32([d], new Float32Array(d).fill(value));
