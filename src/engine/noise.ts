// Standard normal noise as input of a step.
import { foldIn, type Key, RandomStream } from './random.js';
import { f32, type NdArray, type TensorSpec } from './tree.js';

/**
 * Normals for a flat list of specs; each name has its own stream, so that the order does not matter.
 * @param into arrays of an earlier call, to be filled again
 */
export const noiseFor = <S extends Readonly<Record<string, TensorSpec>>>(
  specs: S,
  key: Key,
  into: { readonly [K in keyof S]?: NdArray } = {},
): { [K in keyof S]: NdArray } =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => {
      const array = into[name] ?? f32(shape);
      new RandomStream(foldIn(key, name)).fillNormal(array.data as Float32Array);
      return [name, array];
    }),
  ) as { [K in keyof S]: NdArray };
