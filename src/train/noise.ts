// Standard normal noise as input of a step.
import { f32, foldIn, type Key, RandomStream, sizeOf } from '../engine/index.js';
import type { Arrays, Specs } from '../priors/index.js';

/** Normals for a flat list of specs; each name has its own stream, so that the order does not matter. */
export const noiseFor = (specs: Specs, key: Key): Arrays =>
  Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => [
      name,
      f32(shape, new RandomStream(foldIn(key, name)).fillNormal(new Float32Array(sizeOf(shape)))),
    ]),
  );
