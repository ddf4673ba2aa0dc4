// Noise of a step: a pure function of the specs and the key, whichever arrays it is written to.
import { describe, expect, it } from 'vitest';
import { foldIn, noiseFor, RandomStream, seedKey, spec } from '../../src/engine/index.js';

const key = seedKey(70);
const specs = { 'conv1.activations': spec([3, 5]), z: spec([7]), scalar: spec([]) };

describe('noise for specs', () => {
  it('has their names and shapes, one stream for each name', () => {
    const noise = noiseFor(specs, key);
    expect(Object.entries(noise).map(([name, { shape }]) => [name, shape])).toEqual([
      ['conv1.activations', [3, 5]],
      ['z', [7]],
      ['scalar', []],
    ]);
    expect(noise.z.data).toEqual(new RandomStream(foldIn(key, 'z')).fillNormal(new Float32Array(7)));
    expect(noiseFor({ z: specs.z }, key).z.data).toEqual(noise.z.data);
    expect(noiseFor(specs, foldIn(key, 1)).z.data).not.toEqual(noise.z.data);
  });

  it('is the same in the arrays of an earlier step', () => {
    const arrays = noiseFor(specs, foldIn(key, 'step', 1));
    const again = noiseFor(specs, foldIn(key, 'step', 2), arrays);
    expect(again).toEqual(noiseFor(specs, foldIn(key, 'step', 2)));
    for (const name of Object.keys(specs) as (keyof typeof specs)[])
      expect(again[name].data).toBe(arrays[name].data);
  });
});
