// A mixture of priors, p(w) = Σ_m π_m p_m(w): kernels of several sources, with weights that are given or that a network
// learns along (empirical Bayes). Where a p_m has no density of its own it is bounded inside the sum (79).

import { z } from 'zod';
import { logImportanceWeight } from '../distributions/latent.js';
import { f32, nested, prefixed, spec, tf } from '../engine/index.js';
import { inputError } from '../errors.js';
import { weightedComponent } from './mixture/components.js';
import { nestedAdaptable, nestedConfig } from './nested.js';
import { requireShapes } from './parameters.js';
import type {
  Adaptable,
  ExactDensity,
  KernelPrior,
  LatentVariableDensity,
  PriorComposition,
  Tensors,
} from './prior.js';

export const LOG_WEIGHT = 'logWeight';
const CHOICE = 'choice';

/** Parameters, or noise, of component m. */
const partOf = (all: Tensors, m: number): Tensors => nested(all, `${m}`);

/** (78) log Σ_m π_m exp(value_m): values [..] of M components → [..]; the gradient of log π is (81) */
const logMixture = (parameters: Tensors, values: tf.Tensor[]): tf.Tensor =>
  tf.logSumExp(tf.add(tf.stack(values, -1), tf.logSoftmax(parameters[LOG_WEIGHT])), -1);

/** Normals of all components together. */
const normalsIn = (components: readonly KernelPrior[]): number =>
  components.reduce((sum, { density }) => sum + (density.components ?? 1), 0);

/** The densities of all components, where every one is known exactly; undefined where one is bounded. */
function exactDensities(components: readonly KernelPrior[]): ExactDensity[] | undefined {
  const densities = components.map(({ density }) => density);
  return densities.every((density) => density.kind === 'exact') ? densities : undefined;
}

const exactMixture = (densities: readonly ExactDensity[], normals: number): ExactDensity => ({
  kind: 'exact',
  components: normals,
  logDensity: (parameters, w) =>
    logMixture(
      parameters,
      densities.map(({ logDensity }, m) => logDensity(partOf(parameters, m), w)),
    ),
});

/** z is the latents of all components that have some, one after the other. */
function latentMixture(components: readonly KernelPrior[], normals: number): LatentVariableDensity {
  const latents = components.flatMap(({ density }, m) => (density.kind === 'latent' ? [{ m, density }] : []));
  const sizes = latents.map(({ density }) => density.latentSize);
  const latentSize = sizes.reduce((a, b) => a + b, 0);
  /** [.., l] by component; TensorFlow.js has no gradient of a split into one. */
  const split = (z: tf.Tensor) => (sizes.length === 1 ? [z] : tf.split(z, sizes, -1));
  return {
    kind: 'latent',
    latentSize,
    components: normals,
    encoder: latents.flatMap(({ m, density }) => density.encoder.map((name) => `${m}.${name}`)),
    of(parameters) {
      const densities = latents.map(({ m, density }) => density.of(partOf(parameters, m)));
      /** log Σ_m π_m f_m(w): f of the i-th latent component and its z, p_m(w) where that is known. */
      const sum = (w: tf.Tensor, z: tf.Tensor, f: (i: number, z: tf.Tensor) => tf.Tensor) => {
        const zs = split(z);
        const shape = z.shape.slice(0, -1);
        return logMixture(
          parameters,
          components.map(({ density }, m) => {
            if (density.kind === 'exact')
              return tf.add(density.logDensity(partOf(parameters, m), w), tf.zeros(shape));
            const i = latents.findIndex((latent) => latent.m === m);
            return f(i, zs[i]);
          }),
        );
      };
      return {
        latentSize,
        encode(w) {
          const r = densities.map((density) => density.encode(w));
          const means = r.map(({ mean }) => mean);
          const logStds = r.map(({ mean, logStd }) => tf.add(logStd, tf.zerosLike(mean)));
          return { mean: tf.concat(means, -1), logStd: tf.concat(logStds, -1) };
        },
        // The z of components that did not make w have the law of their own p(z), whatever w is.
        logLikelihood: (w, z) => sum(w, z, (i, part) => densities[i].logLikelihood(w, part)),
        logLatent: (z) =>
          split(z)
            .map((part, i) => densities[i].logLatent(part))
            .reduce((a, b) => tf.add(a, b)),
        // (79) log Σ_m π_m p_m(w|z_m) p_m(z_m) / r_m(z_m|w)
        logWeight(w, z, r) {
          const [means, logStds] = [split(r.mean), split(tf.add(r.logStd, tf.zerosLike(r.mean)))];
          return sum(w, z, (i, part) =>
            logImportanceWeight(densities[i], w, part, { mean: means[i], logStd: logStds[i] }),
          );
        },
      };
    },
  };
}

/**
 * @param components of one size, at least one
 * @param weights positive; normalised here
 */
export function mixPriors(components: readonly KernelPrior[], weights: readonly number[]): KernelPrior {
  const exact = exactDensities(components);
  const normals = normalsIn(components);
  return {
    family: 'mixed',
    size: components[0].size,
    config: { components: components.map(nestedConfig) },
    parameters: {
      [LOG_WEIGHT]: f32([weights.length], Float32Array.from(normalised(weights), Math.log)),
      ...Object.assign({}, ...components.map(({ parameters }, m) => prefixed(parameters, `${m}`))),
    },
    generateNoise: (n) => ({
      [CHOICE]: spec([n]),
      ...Object.assign({}, ...components.map((prior, m) => prefixed(prior.generateNoise(n), `${m}`))),
    }),
    generate(parameters, noise) {
      const chosen = weightedComponent(noise[CHOICE], parameters[LOG_WEIGHT]); // [n]
      const draws = components.map((prior, m) => prior.generate(partOf(parameters, m), partOf(noise, m))); // [n, d] each
      // not a sum over one-hot: 0 · ∞ of a draw that was not chosen would be NaN
      return draws.reduce((kept, draw, m) => tf.where(tf.expandDims(tf.equal(chosen, m), 1), draw, kept));
    },
    density: exact ? exactMixture(exact, normals) : latentMixture(components, normals),
    finished: (parameters) =>
      Object.assign(
        { ...parameters },
        ...components.map((prior, m) => {
          const learned = nested(parameters, `${m}`);
          return prefixed(prior.finished?.(learned) ?? learned, `${m}`);
        }),
      ),
    adaptable: {
      weights: { names: [LOG_WEIGHT] },
      latent: joined(components, 'latent', [LOG_WEIGHT]),
      ...(components.some(({ adaptable }) => adaptable?.decoder) && {
        decoder: joined(components, 'decoder'),
      }),
    },
  };
}

/** What the components let be learned, under the names that it has here. */
function joined(
  components: readonly KernelPrior[],
  which: 'latent' | 'decoder',
  first: string[] = [],
): Adaptable {
  const each = components.flatMap((prior, m) => nestedAdaptable(prior, which, `${m}`) ?? []);
  return {
    names: [...first, ...each.flatMap(({ names }) => names)],
    added: Object.assign({}, ...each.map(({ added }) => added)),
  };
}

const normalised = (weights: readonly number[]): number[] => {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((x) => x / sum);
};

const config = z.object({ components: z.array(nestedConfig.schema).min(1).max(100) });

export const mixed: PriorComposition<z.infer<typeof config>> = {
  name: 'mixed',
  summary: 'a mixture of other priors',
  config,
  prior(size, { components }, given, make) {
    const { [LOG_WEIGHT]: logWeight } = requireShapes(given, { [LOG_WEIGHT]: [components.length] });
    const weights = Array.from(logWeight.data, Math.exp);
    if (!weights.every((x) => x > 0 && x < Number.POSITIVE_INFINITY))
      throw inputError(`${LOG_WEIGHT} holds no weights`, 'the prior folder is damaged: mix the priors again');
    return mixPriors(
      components.map((component, m) => make(component, size, nested(given, `${m}`))),
      weights,
    );
  },
};
