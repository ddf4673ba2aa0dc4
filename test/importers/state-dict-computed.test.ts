// Weights that a file keeps in parts: each is what its formula gives.
import { expect, test } from 'vitest';
import { convolutionsOf, type NamedTensor } from '../../src/importers/state-dict.js';

const tensor = (name: string, shape: number[], data: ArrayLike<number>): NamedTensor => ({
  name,
  shape,
  dtype: 'float32',
  values: () => Float32Array.from(data),
});
const ramp = (n: number) => Float32Array.from({ length: n }, (_, i) => ((i * 7) % 11) - 5);
const SHAPE = [3, 2, 2, 2];
const W = ramp(24);
const MASK = W.map((_, i) => i % 3 && 1);

function only(...tensors: NamedTensor[]): number[] {
  const { layers, skipped } = convolutionsOf(tensors, { order: 'oihw', certain: true });
  expect(skipped).toEqual([]);
  expect(layers).toHaveLength(1);
  return [...(layers[0].read() as Float32Array)];
}
const close = (actual: number[], expected: ArrayLike<number>) => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, x] of actual.entries()) expect(x).toBeCloseTo(expected[i], 5);
};
/** g · v / ‖v‖, where `group` says which g and which norm a value has. */
const normalised = (v: Float32Array, g: readonly number[], group: (i: number) => number) =>
  v.map((x, i) => (g[group(i)] * x) / Math.hypot(...v.filter((_, j) => group(j) === group(i))));
/** uᵀWv with the rows of W along the first axis. */
const sigma = (w: ArrayLike<number>, u: number[], v: number[]) =>
  Array.from(w).reduce((sum, x, i) => sum + u[Math.floor(i / v.length)] * x * v[i % v.length], 0);

test.each<[string, number[], number[], (i: number) => number]>([
  ['one for each output', [3, 1, 1, 1], [2, 3, 4], (i) => Math.floor(i / 8)],
  ['one for each input', [1, 2, 1, 1], [2, 3], (i) => Math.floor(i / 4) % 2],
  ['one for all', [], [2], () => 0],
  ['one for all, with axes', [1, 1, 1, 1], [2], () => 0],
  ['over outputs and a side', [3, 1, 1, 2], [1, 2, 3, 4, 5, 6], (i) => 2 * Math.floor(i / 8) + (i % 2)],
  ['without the other axes', [3], [2, 3, 4], (i) => Math.floor(i / 8)],
])('magnitudes of a weight normalisation: %s', (_, shape, g, group) => {
  for (const [first, second] of [
    ['weight_g', 'weight_v'],
    ['parametrizations.weight.original0', 'parametrizations.weight.original1'],
  ])
    close(only(tensor(`a.${first}`, shape, g), tensor(`a.${second}`, SHAPE, W)), normalised(W, g, group));
});

const u = [0.6, 0, 0.8];
const v = [0.5, 0.5, 0, 0, 0.5, 0, 0.5, 0];

test('spectral normalisation, both styles and the one of a copied script', () => {
  const expected = W.map((x) => x / sigma(W, u, v));
  for (const [weight, left, right] of [
    ['weight_orig', 'weight_u', 'weight_v'],
    ['weight_bar', 'weight_u', 'weight_v'],
    ['parametrizations.weight.original', 'parametrizations.weight.0._u', 'parametrizations.weight.0._v'],
  ])
    close(
      only(tensor(`a.${weight}`, SHAPE, W), tensor(`a.${left}`, [3], u), tensor(`a.${right}`, [8], v)),
      expected,
    );
});

test('spectral normalisation without v: that of u', () => {
  const Wu = Array.from({ length: 8 }, (_, j) => u.reduce((sum, x, i) => sum + x * W[8 * i + j], 0));
  close(
    only(tensor('a.weight_orig', SHAPE, W), tensor('a.weight_u', [3], u)),
    W.map((x) => x / Math.hypot(...Wu)),
  );
});

test('spectral normalisation of a transposed convolution is over its second axis', () => {
  const shape = [4, 2, 1, 1];
  const data = [1, 2, 3, 4, 5, 6, 7, 8]; // [in, out]: rows of the matrix are its columns
  const [left, right] = [
    [0.6, 0.8],
    [0.5, 0.5, 0.5, 0.5],
  ];
  const expected = [0, 1].reduce(
    (sum, o) => sum + [0, 1, 2, 3].reduce((s, i) => s + left[o] * data[2 * i + o] * right[i], 0),
    0,
  );
  const made = only(
    tensor('deconv.weight_orig', shape, data),
    tensor('deconv.weight_u', [2], left),
    tensor('deconv.weight_v', [4], right),
  );
  close(
    made,
    [1, 3, 5, 7, 2, 4, 6, 8].map((x) => x / expected),
  ); // as [out, in]
});

test('where both axes fit, the matrix is that whose singular vectors the file has', () => {
  const shape = [2, 2, 1, 2];
  const data = [0, 0, 0, 0, 0, 3, 0, 1.5]; // 3 at in 1, out 0, x 1
  const parts = [tensor('a.weight_u', [2], [1, 0.1]), tensor('a.weight_v', [4], [0, 0, 0, 1])];
  close(
    only(tensor('a.weight_orig', shape, data), ...parts),
    data.map((x) => x / 3.15), // 3 + 0.1 · 1.5; along the first axis it were 0.15
  );
});

test('pruning: both styles, beside the weight, and with a mask of booleans', () => {
  const expected = W.map((x, i) => x * MASK[i]);
  close(only(tensor('a.weight_orig', SHAPE, W), tensor('a.weight_mask', SHAPE, MASK)), expected);
  close(
    only(
      tensor('a.parametrizations.weight.original', SHAPE, W),
      tensor('a.parametrizations.weight.0.mask', SHAPE, MASK),
    ),
    expected,
  );
  close(only(tensor('a.weight', SHAPE, W), tensor('a.weight_mask', SHAPE, MASK)), expected);
  const booleans: NamedTensor = {
    ...{ name: 'a.weight_mask', shape: SHAPE, dtype: 'bool', values: 'its weights are bool' },
    integers: () => MASK,
  };
  close(only(tensor('a.weight_orig', SHAPE, W), booleans), expected);
});

test('a direction that is pruned, and a pruned weight that is normalised', () => {
  const pruned = W.map((x, i) => x * MASK[i]);
  close(
    only(
      tensor('a.weight_g', [3, 1, 1, 1], [2, 3, 4]),
      tensor('a.weight_v_orig', SHAPE, W),
      tensor('a.weight_v_mask', SHAPE, MASK),
    ),
    normalised(pruned, [2, 3, 4], (i) => Math.floor(i / 8)),
  );
  close(
    only(
      ...[tensor('a.weight_orig_orig', SHAPE, W), tensor('a.weight_orig_mask', SHAPE, MASK)],
      ...[tensor('a.weight_u', [3], u), tensor('a.weight_v', [8], v)],
    ),
    pruned.map((x) => x / sigma(pruned, u, v)),
  );
});

test('what the file does not determine is skipped with the reason', () => {
  const reason = (...tensors: NamedTensor[]) =>
    convolutionsOf(tensors, { order: 'oihw', certain: true }).skipped.map(({ reason }) => reason);
  expect(reason(tensor('a.weight_orig', SHAPE, W))).toEqual([expect.stringContaining('not in the file')]);
  expect(reason(tensor('a.parametrizations.weight.original', SHAPE, W))).toEqual([
    expect.stringContaining('parametrisation'),
  ]);
  expect(reason(tensor('a.weight_g', [5], ramp(5)), tensor('a.weight_v', SHAPE, W))).toEqual([
    expect.stringContaining('magnitudes [5]'),
  ]);
  expect(reason(tensor('a.weight_orig', SHAPE, W), tensor('a.weight_u', [7], ramp(7)))).toEqual([
    expect.stringContaining('vector [7]'),
  ]);
  expect(reason(tensor('a.weight_orig', SHAPE, W), tensor('a.weight_mask', [2], ramp(2)))).toEqual([
    expect.stringContaining('mask [2]'),
  ]);
});
