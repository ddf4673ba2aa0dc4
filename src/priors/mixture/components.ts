// A mixture of C normals or t's inside a step: coordinates in which each component is standard, densities, samples.
import type { Matrix } from 'ml-matrix';
import { f32, spec, tf } from '../../engine/index.js';
import { requirePositive } from '../parameters.js';
import { type Arrays, type Specs, type Tensors, triangle } from '../prior.js';
import { type Component, logConstant } from './em.js';
import { symmetricRoot } from './linear-algebra.js';

const NAMES = {
  mean: 'mixture.mean', // [C, d]
  whitening: 'mixture.whitening', // [C, d, d], Σ_c^−½
  colouring: 'mixture.colouring', // [C, d, d], Σ_c^½
  logWeight: 'mixture.logWeight', // [C]
  logVolume: 'mixture.logVolume', // [C], log det Σ_c^−½
} as const;

export const componentCount = (given: Arrays): number => Math.max(1, given[NAMES.mean]?.shape[0] ?? 1);

/** Numbers of all means, covariances and weights. */
export function mixtureNumbers(given: Arrays): number {
  const [c, d] = given[NAMES.mean].shape;
  return c * (d + triangle(d)) + c - 1;
}

export function componentShapes(given: Arrays, d: number): Record<string, number[]> {
  const c = componentCount(given);
  return {
    [NAMES.mean]: [c, d],
    [NAMES.whitening]: [c, d, d],
    [NAMES.colouring]: [c, d, d],
    [NAMES.logWeight]: [c],
    [NAMES.logVolume]: [c],
  };
}

const rootOfComponent = ({ covariance }: Component) => symmetricRoot(covariance);

/**
 * Components as arrays of a prior, those of the largest weights first.
 * @param rootOf Σ^½ and Σ^−½, where they are known
 */
export function storedComponents<C extends Component>(
  components: readonly C[],
  rootOf: (component: C) => { root: Matrix; inverse: Matrix } = rootOfComponent,
): Arrays {
  const sorted = [...components].sort((a, b) => b.logWeight - a.logWeight);
  const [c, d] = [sorted.length, sorted[0].mean.length];
  const total = Math.log(sorted.reduce((sum, { logWeight }) => sum + Math.exp(logWeight), 0));
  const roots = sorted.map(rootOf);
  const floats = (shape: number[], values: Iterable<number>) => f32(shape, Float32Array.from(values));
  return {
    [NAMES.mean]: floats(
      [c, d],
      sorted.flatMap(({ mean }) => Array.from(mean)),
    ),
    [NAMES.whitening]: floats(
      [c, d, d],
      roots.flatMap(({ inverse }) => inverse.to1DArray()),
    ),
    [NAMES.colouring]: floats(
      [c, d, d],
      roots.flatMap(({ root }) => root.to1DArray()),
    ),
    [NAMES.logWeight]: floats(
      [c],
      sorted.map(({ logWeight }) => logWeight - total),
    ),
    [NAMES.logVolume]: floats(
      [c],
      sorted.map(({ logDeterminant }) => -logDeterminant),
    ),
  };
}

/** Those of the largest weights, and how many there are: means [d], Σ^½ [d, d]. */
export function heaviestComponents(given: Arrays, most: number) {
  const [count, d] = given[NAMES.mean].shape;
  const weights = Array.from(given[NAMES.logWeight].data, Math.exp);
  const total = weights.reduce((a, b) => a + b, 0);
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a]);
  const components = order.slice(0, most).map((c) => ({
    weight: weights[c] / total,
    mean: given[NAMES.mean].data.subarray(c * d, (c + 1) * d),
    colouring: given[NAMES.colouring].data.subarray(c * d * d, (c + 1) * d * d),
  }));
  return { count, components };
}

/** @throws DwpError INPUT when weights are no probabilities or a matrix cannot be a whitening */
export function checkComponents(given: Arrays): void {
  const weights = Array.from(given[NAMES.logWeight].data, Math.exp);
  requirePositive('the precision of the weights of the mixture', [
    1e-3 - Math.abs(weights.reduce((a, b) => a + b, 0) - 1),
  ]);
  const [c, d] = given[NAMES.mean].shape;
  for (const name of [NAMES.whitening, NAMES.colouring])
    requirePositive(
      `${name}'s diagonal`,
      Array.from(
        { length: c * d },
        (_, i) => given[name].data[Math.floor(i / d) * d * d + (i % d) * (d + 1)],
      ),
    );
}

/** y_c = Σ_c^−½ (x − μ_c): x [n, d] → [n, C, d]. */
export function coordinates(parameters: Tensors, x: tf.Tensor): tf.Tensor {
  const whitening = parameters[NAMES.whitening];
  const [c, d] = whitening.shape;
  const together = tf.reshape(tf.transpose(whitening, [1, 0, 2]), [d, c! * d!]); // [d, C·d]
  const centre = tf.matMul(tf.expandDims(parameters[NAMES.mean], 1), whitening); // [C, 1, d]
  return tf.sub(tf.reshape(tf.matMul(x, together), [-1, c!, d!]), tf.reshape(centre, [1, c!, d!]));
}

/**
 * log w_c + log-density of component c, of the squared distances q_c in its coordinates: [.., C] → [.., C]. With
 * `dof`, of t (52); without, of a normal.
 */
export function componentLogDensities(
  parameters: Tensors,
  squares: tf.Tensor,
  dof: number | undefined,
  d: number,
): tf.Tensor {
  const constant = logConstant(dof ?? Number.POSITIVE_INFINITY, d);
  const falling =
    dof === undefined
      ? tf.mul(squares, 0.5)
      : tf.mul(tf.log(tf.add(tf.div(squares, dof), 1)), 0.5 * (dof + d));
  const weight = tf.add(tf.add(parameters[NAMES.logWeight], parameters[NAMES.logVolume]), constant);
  return tf.sub(weight, falling);
}

/** log Σ_c w_c, 0 until the weights are learned along with a network. */
export const logTotalWeight = (parameters: Tensors): tf.Tensor => tf.logSumExp(parameters[NAMES.logWeight]);

/** The weights as probabilities again. */
export function normaliseWeights(arrays: Arrays): Arrays {
  const { shape, data } = arrays[NAMES.logWeight];
  const logs = Array.from(data);
  const most = Math.max(...logs);
  const total = most + Math.log(logs.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return {
    ...arrays,
    [NAMES.logWeight]: f32(
      [...shape],
      Float32Array.from(logs, (x) => x - total),
    ),
  };
}

/** Names of the weights, for what learns them. */
export const WEIGHT_NAMES: readonly string[] = [NAMES.logWeight];

/** Standard normals that {@link drawComponents} needs. */
export const drawNoise = (n: number, d: number, dof: number | undefined): Specs => ({
  component: spec([n]),
  deviation: spec([n, d]),
  ...(dof !== undefined && { tail: spec([n, dof]) }),
});

/** √(ν / χ²_ν), what turns normals into t: [n, ν] → [n, 1]. */
const tailFactor = (tail: tf.Tensor): tf.Tensor =>
  tf.sqrt(tf.div(tail.shape[1]!, tf.sum(tf.square(tail), 1, true)));

/** One of C by its weights, given a standard normal x: [n], log weights [n, C] or [C] → int32 [n]. */
export function weightedComponent(x: tf.Tensor, logWeights: tf.Tensor): tf.Tensor1D {
  const c = logWeights.shape.at(-1)!;
  const weights = tf.softmax(tf.reshape(logWeights, [-1, c])); // [n, C] or [1, C]
  const uniform = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
  const reached = tf.cumsum(weights, 1);
  const passed = tf.sum(tf.cast(tf.less(reached, tf.expandDims(uniform, 1)), 'float32'), -1);
  return tf.cast(tf.minimum(passed, c - 1), 'int32') as tf.Tensor1D;
}

/** Samples μ_c + Σ_c^½ y, [n, d]. */
export function drawComponents(parameters: Tensors, { component, deviation, tail }: Tensors): tf.Tensor {
  const [n, d] = deviation.shape;
  const chosen = weightedComponent(component, parameters[NAMES.logWeight]);
  const y = tail ? tf.mul(deviation, tailFactor(tail)) : deviation;
  const turned = tf.matMul(tf.expandDims(y, 1), tf.gather(parameters[NAMES.colouring], chosen)); // [n, 1, d]
  return tf.add(tf.reshape(turned, [n, d!]), tf.gather(parameters[NAMES.mean], chosen));
}
