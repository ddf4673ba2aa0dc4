// Another prior's kernels at another scale: w = s·u with u ~ p. One number that a network may learn along, whatever the
// family of p.

import { z } from 'zod';
import type { LatentDensity } from '../distributions/latent.js';
import type { DiagonalNormal } from '../distributions/normal.js';
import { f32, nested, prefixed, tf } from '../engine/index.js';
import { nestedAdaptable, nestedConfig } from './nested.js';
import { requireShapes } from './parameters.js';
import {
  type AdaptablePart,
  type KernelPrior,
  kernelLength,
  type PriorComposition,
  type Tensors,
} from './prior.js';

const BASE = 'base';
export const LOG_SCALE = 'logScale';

/** w = e^{logScale} u, u ~ base. */
export function scalePrior(base: KernelPrior, logScale = 0): KernelPrior {
  const { size, density } = base;
  const d = kernelLength(size);
  const baseOf = (parameters: Tensors) => nested(parameters, BASE);
  const smaller = (x: tf.Tensor, { logScale }: Tensors) => tf.mul(x, tf.exp(tf.neg(logScale)));
  /** (77) log p(w) = log p_u(w/s) − d log s, or a term of it that w enters. */
  const moved = (value: tf.Tensor, { logScale }: Tensors) => tf.sub(value, tf.mul(logScale, d));
  const scaleDensity = (): KernelPrior['density'] => {
    if (density.kind === 'exact') {
      const { logDensity, expectedLogDensity } = density;
      return {
        ...density,
        logDensity: (parameters, w) =>
          moved(logDensity(baseOf(parameters), smaller(w, parameters)), parameters),
        ...(expectedLogDensity && {
          expectedLogDensity(parameters: Tensors, { mean, logStd }: DiagonalNormal) {
            const u = { mean: smaller(mean, parameters), logStd: tf.sub(logStd, parameters.logScale) };
            return moved(expectedLogDensity(baseOf(parameters), u), parameters);
          },
        }),
      };
    }
    const { decode } = density;
    return {
      ...density,
      ...(decode && {
        decode(parameters: Tensors, z: tf.Tensor): DiagonalNormal {
          const { mean, logStd } = decode(baseOf(parameters), z);
          return {
            mean: tf.mul(mean, tf.exp(parameters.logScale)),
            logStd: tf.add(logStd, parameters.logScale),
          };
        },
      }),
      encoder: density.encoder.map((name) => `${BASE}.${name}`),
      of(parameters): LatentDensity {
        const unscaled = density.of(baseOf(parameters));
        const { logWeight } = unscaled;
        const u = (w: tf.Tensor) => smaller(w, parameters);
        return {
          latentSize: unscaled.latentSize,
          encode: (w) => unscaled.encode(u(w)),
          logLikelihood: (w, z) => moved(unscaled.logLikelihood(u(w), z), parameters),
          logLatent: (z) => unscaled.logLatent(z),
          ...(logWeight && {
            logWeight: (w: tf.Tensor, z: tf.Tensor, r: DiagonalNormal) =>
              moved(logWeight(u(w), z, r), parameters),
          }),
        };
      },
    };
  };
  return {
    family: 'scaled',
    size,
    config: { base: nestedConfig(base) },
    parameters: {
      [LOG_SCALE]: f32([], Float32Array.of(logScale)),
      ...prefixed(base.parameters, BASE),
    },
    generateNoise: base.generateNoise,
    generate: (parameters, noise) =>
      tf.mul(base.generate(baseOf(parameters), noise), tf.exp(parameters.logScale)),
    density: scaleDensity(),
    adaptable: Object.fromEntries(
      Object.keys(base.adaptable ?? {}).map((part) => [
        part,
        nestedAdaptable(base, part as AdaptablePart, BASE),
      ]),
    ),
    finished: (parameters) => {
      const learned = nested(parameters, BASE);
      return { ...parameters, ...prefixed(base.finished?.(learned) ?? learned, BASE) };
    },
  };
}

const config = z.object({ base: nestedConfig.schema });

export const scaled: PriorComposition<z.infer<typeof config>> = {
  name: 'scaled',
  summary: 'another prior at another scale',
  config,
  prior(size, { base }, given, make) {
    const { logScale } = requireShapes(given, { [LOG_SCALE]: [] });
    return scalePrior(make(base, size, nested(given, BASE)), logScale.data[0]);
  },
};
