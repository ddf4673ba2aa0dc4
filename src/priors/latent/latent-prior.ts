// What p(z) of a latent-variable density is: of kernels, or of any other rows of numbers that an encoder reads.
import type { DiagonalNormal } from '../../distributions/normal.js';
import type { Key, tf } from '../../engine/index.js';
import type { Arrays, Specs, Tensors } from '../prior.js';

/** Training data, row by row: [count, size]. */
export interface Rows {
  data: Float32Array;
  count: number;
  size: number;
}

/** r(z|x): [.., size] → diagonal normal over z. */
export type Encode = (x: tf.Tensor) => DiagonalNormal;

export interface LatentStart {
  trainable: Arrays;
  fixed: Arrays;
  /** Fixed arrays of rows that a training step replaces by so many rows of the training data, drawn anew. */
  resampled: Readonly<Record<string, number>>;
}

/** A family of p(z): one file, one line in index.ts. Its arrays are called `latent.…`. */
export interface LatentPrior {
  name: string;
  summary: string;
  /** @param components how many normals p(z) is a mixture of, where it is one */
  initial(rows: Rows, components: number, key: Key, latentSize: number): LatentStart;
  /** Shapes that the arrays must have, given those that there are. */
  shapes(given: Arrays, size: number, latentSize: number): Readonly<Record<string, readonly number[]>>;
  /** Number of normals in the mixture that these arrays make: what log p(z) costs. */
  components(given: Arrays): number;
  /** Standard normals that `sample` needs for n draws of z, [l]; `latent` [n, l] is among them. */
  noise(n: number, latentSize: number): Specs;
  of(parameters: Tensors, encode: Encode): LatentMarginal;
}

export interface LatentMarginal {
  /** log p(z): [.., l] → [..], nats. */
  logDensity(z: tf.Tensor): tf.Tensor;
  /** −KL( r ‖ p ) in closed form, or an unbiased estimate of it from z ~ r: [.., l] → [..], nats. */
  negativeDivergence(r: DiagonalNormal, z: tf.Tensor): tf.Tensor;
  /** Draws of p(z), [n, l]. */
  sample(noise: Tensors): tf.Tensor;
}
