// Keys of parameters are made and taken apart without a loss, whatever dots a part has.
import { expect, test } from 'vitest';
import {
  groupPart,
  isLearnedAlong,
  keyParts,
  LEARNED_ALONG,
  layerPart,
  NOISE_USES,
  parameterKey,
  partOfLayers,
  withKeys,
} from '../../src/network/index.js';

const conv = { name: 'conv1' };

test.each([undefined, ...LEARNED_ALONG, ...NOISE_USES])('a key of the group %s is taken apart', (group) => {
  for (const part of ['mean', 'auxiliary-posterior.flow.0.in', '0.logWeight']) {
    const key = parameterKey(conv, part, group);
    expect(key).toBe(`conv1.${group ? `${group}.` : ''}${part}`);
    expect(keyParts(key)).toEqual({ layer: 'conv1', ...(group && { group }), part });
  }
});

test('only what depends on the priors is learned along', () => {
  expect(['c.adapted.mean', 'c.auxiliary.mean', 'c.chain.logStep'].map(isLearnedAlong)).toEqual([
    true,
    true,
    true,
  ]);
  // a part that is called as a group, a layer that is, and s(ζ|w)
  expect(['c.chain', 'adapted.mean', 'c.auxiliary-posterior.in', 'c', ''].map(isLearnedAlong)).toEqual(
    new Array(5).fill(false),
  );
});

test('parts of a layer are found, and those of a layer whose name begins alike are not', () => {
  const all = {
    ...withKeys({ mean: 1 }, conv),
    ...withKeys({ mean: 2 }, conv, 'auxiliary'),
    'conv10.mean': 3,
  };
  expect(all).toEqual({ 'conv1.mean': 1, 'conv1.auxiliary.mean': 2, 'conv10.mean': 3 });
  expect(layerPart(all, conv)).toEqual({ mean: 1, 'auxiliary.mean': 2 });
  expect(layerPart(all, conv, 'auxiliary')).toEqual({ mean: 2 });
  expect(groupPart(layerPart(all, conv), 'auxiliary')).toEqual({ mean: 2 });
  expect(partOfLayers(all, 'mean')).toEqual({ conv1: 1, conv10: 3 });
});
