// A mixture of priors, p(w) = Σ_m π_m p_m(w): kernels of several sources, with weights that are given or that a network
// learns along (empirical Bayes). Where a p_m has no density of its own it is bounded inside the sum (79).

import { z } from 'zod';
import { logImportanceWeight } from '../distributions/latent.js';
import type { DiagonalNormal } from '../distributions/normal.js';
import { f32, nested, prefixed, spec, tf } from '../engine/index.js';
import { inputError } from '../errors.js';
import { weightedComponent } from './mixture/components.js';
import { nestedAdaptable, nestedConfig } from './nested.js';
import { requireShapes } from './parameters.js';
import type { Adaptable, KernelPrior, PriorComposition, Tensors } from './prior.js';

export const LOG_WEIGHT = 'logWeight';
const CHOICE = 'choice';

const latentSizeOf = ({ density }: KernelPrior) => (density.kind === 'latent' ? density.latentSize : 0);

/**
 * @param components of one size, at least one
 * @param weights positive; normalised here
 */
export function mixPriors(components: readonly KernelPrior[], weights: readonly number[]): KernelPrior {
  const [{ size }] = components;
  const of = (all: Tensors, m: number) => nested(all, `${m}`);
  /** log π_m, [M]; their gradient is (81) */
  const logWeights = (parameters: Tensors) => tf.logSoftmax(parameters[LOG_WEIGHT]);
  /** log Σ_m π_m exp(value_m): values [..] of M components → [..] */
  const total = (parameters: Tensors, values: tf.Tensor[]) =>
    tf.logSumExp(tf.add(tf.stack(values, -1), logWeights(parameters)), -1);

  const latentSizes = components.map(latentSizeOf).filter(Boolean);
  /** Parts of [.., l] by component; TensorFlow.js has no gradient of a split into one. */
  const parts = (z: tf.Tensor) => (latentSizes.length === 1 ? [z] : tf.split(z, latentSizes, -1));
  const latentSize = latentSizes.reduce((a, b) => a + b, 0);
  const latents = components.flatMap((prior, m) => (prior.density.kind === 'latent' ? [m] : []));

  const normals = components.reduce((sum, { density }) => sum + (density.components ?? 1), 0);
  const density: KernelPrior['density'] =
    latentSize === 0
      ? {
          kind: 'exact',
          components: normals,
          // (78) log Σ_m π_m p_m(w)
          logDensity: (parameters, w) =>
            total(
              parameters,
              components.map(({ density }, m) => {
                if (density.kind !== 'exact') throw new Error('a density that is known');
                return density.logDensity(of(parameters, m), w);
              }),
            ),
        }
      : {
          kind: 'latent',
          latentSize,
          components: normals,
          encoder: components.flatMap(({ density }, m) =>
            density.kind === 'latent' ? density.encoder.map((name) => `${m}.${name}`) : [],
          ),
          of(parameters) {
            const densities = components.map(({ density }, m) =>
              density.kind === 'latent' ? density.of(of(parameters, m)) : undefined,
            );
            const encode = (w: tf.Tensor): DiagonalNormal => {
              const r = latents.map((m) => densities[m]!.encode(w));
              return {
                mean: tf.concat(
                  r.map(({ mean }) => mean),
                  -1,
                ),
                logStd: tf.concat(
                  r.map(({ mean, logStd }) => tf.add(logStd, tf.zerosLike(mean))),
                  -1,
                ),
              };
            };
            /** log Σ_m π_m f_m(w): f_m the weight of its own z_m, or p_m(w) where that is known. */
            const sum = (w: tf.Tensor, z: tf.Tensor, f: (m: number, z: tf.Tensor) => tf.Tensor) => {
              const own = parts(z);
              const shape = z.shape.slice(0, -1);
              return total(
                parameters,
                components.map(({ density }, m) =>
                  density.kind === 'latent'
                    ? f(m, own[latents.indexOf(m)])
                    : tf.add(density.logDensity(of(parameters, m), w), tf.zeros(shape)),
                ),
              );
            };
            return {
              latentSize,
              encode,
              // The z of components that did not make w have the law of their own p(z), whatever w is.
              logLikelihood: (w, z) => sum(w, z, (m, own) => densities[m]!.logLikelihood(w, own)),
              logLatent: (z) =>
                parts(z)
                  .map((own, i) => densities[latents[i]]!.logLatent(own))
                  .reduce((a, b) => tf.add(a, b)),
              // (79) log Σ_m π_m p_m(w|z_m) p_m(z_m) / r_m(z_m|w)
              logWeight(w, z, r) {
                const [means, logStds] = [parts(r.mean), parts(tf.add(r.logStd, tf.zerosLike(r.mean)))];
                return sum(w, z, (m, own) => {
                  const i = latents.indexOf(m);
                  return logImportanceWeight(densities[m]!, w, own, { mean: means[i], logStd: logStds[i] });
                });
              },
            };
          },
        };

  return {
    family: 'mixed',
    size,
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
      const draws = components.map((prior, m) => prior.generate(of(parameters, m), of(noise, m))); // [n, d] each
      // not a sum over one-hot: 0 · ∞ of a draw that was not chosen would be NaN
      return draws.reduce((kept, draw, m) => tf.where(tf.expandDims(tf.equal(chosen, m), 1), draw, kept));
    },
    density,
    finished: (parameters) =>
      Object.assign(
        { ...parameters },
        ...components.map((prior, m) => {
          const own = nested(parameters, `${m}`);
          return prefixed(prior.finished?.(own) ?? own, `${m}`);
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
  own: string[] = [],
): Adaptable {
  const each = components.flatMap((prior, m) => nestedAdaptable(prior, which, `${m}`) ?? []);
  return {
    names: [...own, ...each.flatMap(({ names }) => names)],
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
