// Which prior a layer gets, of those that there are.
import { describe, expect, test } from 'vitest';
import type { Role } from '../../src/kernels/index.js';
import { namedArchitecture } from '../../src/network/index.js';
import {
  choosePrior,
  chooseSubstitute,
  type LayerNeed,
  nothingFits,
  type PriorOffer,
} from '../../src/prior-folders/choose-prior.js';
import { layerNeeds } from '../../src/problems/layer-priors.js';

const offer = (path: string, k: number, roles?: Role[], inputs?: number[]): PriorOffer => ({
  path,
  size: { h: k, w: k },
  ...(roles && { roles }),
  ...(inputs && { inputs }),
});
const first: LayerNeed = { name: 'conv1', size: { h: 7, w: 7 }, role: 'first', inputs: 3 };
const last: LayerNeed = { name: 'conv2', size: { h: 5, w: 5 }, role: 'last', inputs: 32 };
const dense: LayerNeed = { name: 'dense', size: { h: 1, w: 1 }, inputs: 100 };
/** Of whole filters, or of groups of channels. */
const filters = (path: string, channels: number, k: number, inputs: number[]): PriorOffer => ({
  path,
  size: { channels, h: k, w: k },
  inputs,
});
const paths = (need: LayerNeed, offers: PriorOffer[], mix = false) =>
  choosePrior(need, offers, mix)?.offers.map(({ path }) => path);

test('what the layers of a network ask for', () => {
  const { conv1, conv2 } = layerNeeds(
    namedArchitecture('lenet', { height: 28, width: 28, channels: 1 }, 10, [32, 128]),
  );
  expect(conv1).toEqual({ name: 'conv1', size: { h: 7, w: 7 }, role: 'first', inputs: 1 });
  expect(conv2).toEqual({ name: 'conv2', size: { h: 5, w: 5 }, role: 'last', inputs: 32 });
});

describe('the prior that fits best', () => {
  test.each<[string, LayerNeed, PriorOffer[], string]>([
    ['by size alone', last, [offer('7', 7), offer('5', 5)], '5'],
    ['the role, rather than unknown', first, [offer('any', 7), offer('first', 7, ['first'])], 'first'],
    [
      'the role alone, rather than among others',
      first,
      [offer('all', 7, ['first', 'middle']), offer('own', 7, ['first'])],
      'own',
    ],
    [
      'among others, rather than unknown',
      first,
      [offer('any', 7), offer('all', 7, ['first', 'middle'])],
      'all',
    ],
    ['middle serves last', last, [offer('first', 5, ['first']), offer('middle', 5, ['middle'])], 'middle'],
    ['last, rather than middle', last, [offer('middle', 5, ['middle']), offer('last', 5, ['last'])], 'last'],
    [
      'of one role, by inputs',
      first,
      [offer('grey', 7, ['first'], [1]), offer('colour', 7, ['first'], [1, 3])],
      'colour',
    ],
    [
      'the role, rather than inputs',
      last,
      [offer('a', 5, ['first'], [32]), offer('b', 5, ['middle'], [64])],
      'b',
    ],
    ['whole filters, rather than slices', first, [filters('c', 3, 7, [3]), offer('s', 7)], 'c'],
    ['filters of another number of inputs are none', last, [filters('c', 2, 5, [2]), offer('s', 5)], 's'],
    ['groups, of a multiple of inputs', last, [filters('g', 2, 5, [64]), offer('s', 5)], 'g'],
    ['no groups that do not divide the inputs', last, [filters('g', 3, 5, [96]), offer('s', 5)], 's'],
    ['a dense layer has no role', dense, [offer('7', 7), offer('1', 1, ['pointwise'])], '1'],
  ])('%s', (_, need, offers, expected) => {
    expect(paths(need, offers)).toEqual([expected]);
    expect(paths(need, [...offers].reverse())).toEqual([expected]);
  });

  test('says why', () => {
    const offers = [offer('grey', 7, ['first'], [1]), offer('colour', 7, ['first'], [1, 3])];
    expect(choosePrior(first, offers)?.reason).toBe(
      '7x7, role first, 3 inputs among those seen, the best of 2 of this size',
    );
  });

  test('says that it is of whole filters', () => {
    expect(choosePrior(first, [filters('c', 3, 7, [3])])?.reason).toBe(
      '3x7x7, whole filters, no role known, 3 inputs among those seen',
    );
  });

  test('none: another size, or another role', () => {
    expect(choosePrior(first, [offer('5', 5)])).toBeUndefined();
    expect(choosePrior(first, [offer('7', 7, ['depthwise'])])).toBeUndefined();
    const { message, hint } = nothingFits(first, [offer('p', 7, ['depthwise'])], '--prior dwp');
    expect(message).toMatch(/size 7x7 for layer conv1 \(a first layer\); given: p \(7x7, depthwise\)/);
    expect(hint).toMatch(/--size 7x7/);
  });

  test('two that match equally well are refused by name, or mixed', () => {
    const offers = [offer('a', 5), offer('b', 5), offer('c', 5, ['first'])];
    expect(() => choosePrior(last, offers)).toThrow(/conv2 .*a and b match equally well/);
    expect(paths(last, offers, true)).toEqual(['a', 'b']);
  });
});

describe('what a layer makes do with', () => {
  test.each<[string, PriorOffer[], string, boolean]>([
    [
      'the same size of another role, before another size',
      [offer('7', 7), offer('5', 5, ['first'])],
      '5',
      false,
    ],
    [
      'the same size of another role, before one of its area',
      [{ ...offer('1x25', 5, ['last']), size: { h: 1, w: 25 } }, offer('5', 5, ['first'])],
      '5',
      false,
    ],
    ['the nearest size', [offer('11', 11), offer('7', 7)], '7', true],
    ['of sizes as near, the larger', [offer('1', 1), offer('25', 25)], '25', true],
    ['of one size, the role', [offer('f', 7, ['first']), offer('m', 7, ['middle'])], 'm', true],
  ])('%s', (_, offers, expected, resampled) => {
    for (const order of [offers, [...offers].reverse()])
      expect(chooseSubstitute(last, order)).toMatchObject({ offers: [{ path: expected }], resampled });
  });

  test('of nothing, nothing', () => expect(chooseSubstitute(last, [])).toBeUndefined());
});
