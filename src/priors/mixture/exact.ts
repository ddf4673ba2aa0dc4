// A mixture of normals or t's as a prior: its density is known.
import { tf } from '../../engine/index.js';
import { requireShapes } from '../parameters.js';
import { type Arrays, type KernelPrior, type KernelSize, kernelLength } from '../prior.js';
import {
  checkComponents,
  componentCount,
  componentLogDensities,
  componentShapes,
  coordinates,
  drawComponents,
  drawNoise,
  logTotalWeight,
  normaliseWeights,
  WEIGHT_NAMES,
} from './components.js';

/** @param dof of t; undefined for normals */
export function mixturePrior(
  family: string,
  size: KernelSize,
  config: Record<string, unknown>,
  given: Arrays,
  dof: number | undefined,
): KernelPrior {
  const d = kernelLength(size);
  const parameters = requireShapes(given, componentShapes(given, d));
  checkComponents(parameters);
  return {
    family,
    size,
    config,
    parameters,
    generateNoise: (n) => drawNoise(n, d, dof),
    generate: (parameters, noise) => drawComponents(parameters, noise),
    density: {
      kind: 'exact',
      components: componentCount(parameters),
      // (52) log Σ_c w_c p_c(w)
      logDensity(parameters, w) {
        const y = coordinates(parameters, tf.reshape(w, [-1, d]));
        const logs = componentLogDensities(parameters, tf.sum(tf.square(y), 2), dof, d);
        const total = tf.sub(tf.logSumExp(logs, 1), logTotalWeight(parameters));
        return tf.reshape(total, w.shape.slice(0, -1));
      },
    },
    adaptable: { latent: { names: WEIGHT_NAMES } },
    finished: normaliseWeights,
  };
}
