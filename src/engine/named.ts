// Flat records whose names are paths, `layer.part`: parameters, noise and constants of everything that is trained.
import type * as tf from '#tfjs';
import type { NdArray, TensorSpec } from './tree.js';

export type Arrays = Readonly<Record<string, NdArray>>;
export type Tensors = Readonly<Record<string, tf.Tensor>>;
export type Specs = Readonly<Record<string, TensorSpec>>;

/** Entries `part.name` by the names that they have within the part. */
export const nested = <T>(all: Readonly<Record<string, T>>, part: string): Record<string, T> =>
  Object.fromEntries(
    Object.entries(all)
      .filter(([name]) => name.startsWith(`${part}.`))
      .map(([name, value]) => [name.slice(part.length + 1), value]),
  );

/** The reverse of {@link nested}. */
export const prefixed = <T>(all: Readonly<Record<string, T>>, part: string): Record<string, T> =>
  Object.fromEntries(Object.entries(all).map(([name, value]) => [`${part}.${name}`, value]));
