// Standard normal noise as input of a step.
import { foldIn, type Key, RandomStream } from './random.js';
import { f32, type NdArray, sizeOf, type TensorSpec } from './tree.js';

/** Normals for a flat list of specs; each name has its own stream, so that the order does not matter. */
export const noiseFor = (specs: Readonly<Record<string, TensorSpec>>, key: Key): Record<string, NdArray> =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => [
      name,
      f32(shape, new RandomStream(foldIn(key, name)).fillNormal(new Float32Array(sizeOf(shape)))),
    ]),
  );
