// A mixture of normals or t's as a prior, of kernels or of kernels whose norms are straightened: its density is known.
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
import { bend, checkRadial, RADIAL, radialShape, straighten } from './radial.js';

/**
 * @param dof of t; undefined for normals
 * @param isStraight whether the components are those of kernels whose norms are straightened
 */
export function mixturePrior(
  family: string,
  size: KernelSize,
  config: Record<string, unknown>,
  given: Arrays,
  dof: number | undefined,
  isStraight: boolean,
): KernelPrior {
  const d = kernelLength(size);
  const parameters = requireShapes(given, {
    ...componentShapes(given, d),
    ...(isStraight && radialShape(given)),
  });
  checkComponents(parameters);
  if (isStraight) checkRadial(parameters);
  return {
    family,
    size,
    config,
    parameters,
    generateNoise: (n) => drawNoise(n, d, dof),
    generate(parameters, noise) {
      const x = drawComponents(parameters, noise);
      return isStraight ? bend(x, parameters[RADIAL]) : x;
    },
    density: {
      kind: 'exact',
      components: componentCount(parameters),
      // (52) log Σ_c w_c p_c(w), or (53) log Σ_c w_c p_c(x) + log |det ∂x/∂w|
      logDensity(parameters, w) {
        const rows = tf.reshape(w, [-1, d]);
        const { x, logVolume } = isStraight
          ? straighten(rows, parameters[RADIAL])
          : { x: rows, logVolume: undefined };
        const y = coordinates(parameters, x);
        const logs = componentLogDensities(parameters, tf.sum(tf.square(y), 2), dof, d);
        const total = tf.sub(tf.logSumExp(logs, 1), logTotalWeight(parameters));
        return tf.reshape(logVolume ? tf.add(total, logVolume) : total, w.shape.slice(0, -1));
      },
    },
    adaptable: { latent: { names: WEIGHT_NAMES } },
    finished: normaliseWeights,
  };
}
