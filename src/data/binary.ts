// Grey images as binary ones: every pixel is 1 with the probability that its brightness says (Salakhutdinov & Murray 2008).
import { type Key, RandomStream } from '../engine/random.js';
import type { ImageSet } from './dataset.js';

/** Once and for all, by the key: [count, height·width·channels] of 0 and 1. Rows do not depend on how many there are. */
export function binaryImages({ images }: ImageSet, key: Key): Float32Array {
  const stream = new RandomStream(key);
  return Float32Array.from(images, (x) => Number(stream.uniform() * 255 < x));
}
