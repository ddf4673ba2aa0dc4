// Operators that move, pick, repeat and accumulate elements: values and gradients on `native` and on `cpu`.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { f32, type NdArray, tf } from '../../src/engine/index.js';
import { expectSame, gridNormal, RUNS, type Tensors, t4 } from './ops-check.js';

const between = (min: number, max: number) => fc.integer({ min, max });
const x = gridNormal(1, [3, 4, 5]);
const indices = (shape: number[], ...numbers: number[]): NdArray => ({
  shape,
  data: Int32Array.from(numbers),
});
type Case = [name: string, f: (x: tf.Tensor) => tf.Tensor];

describe('reductions over any axes', () => {
  const cases = fc.record({
    shape: fc.array(between(1, 4), { minLength: 1, maxLength: 4 }),
    axes: between(0, 15),
    keepDims: fc.boolean(),
    negative: fc.boolean(),
    seed: between(1, 1000),
  });
  const functions: Record<string, (x: tf.Tensor, axes: number[], keepDims: boolean) => tf.Tensor> = {
    sum: tf.sum,
    mean: tf.mean,
    max: tf.max,
    min: tf.min,
    prod: tf.prod,
    logSumExp: tf.logSumExp,
    euclideanNorm: (x, axes, keepDims) => tf.norm(tf.add(x, 0.3), 'euclidean', axes.slice(0, 2), keepDims),
  };
  test.each(Object.entries(functions))('%s', (_, f) =>
    fc.assert(
      fc.asyncProperty(cases, async ({ shape, axes, keepDims, negative, seed }) => {
        const chosen = shape.flatMap((_, i) => (axes & (1 << i) ? [negative ? i - shape.length : i] : []));
        fc.pre(chosen.length > 0);
        await expectSame(({ x }: Tensors) => f(x, chosen, keepDims), { x: gridNormal(seed, shape) });
      }),
      { ...RUNS, numRuns: 10 },
    ),
  );

  test.each<Case>([
    ['prod with a zero', (x) => tf.prod(tf.mul(x, tf.step(tf.add(x, 1))), 1)],
    ['moments', (x) => tf.add(tf.moments(x, [0, 2]).mean, tf.moments(x, [0, 2]).variance)],
    ['cumsum of the first axis', (x) => tf.cumsum(x, 0)],
    ['cumsum, exclusive', (x) => tf.cumsum(x, 1, true)],
    ['cumsum, reverse', (x) => tf.cumsum(x, 2, false, true)],
    ['cumsum, exclusive and reverse', (x) => tf.cumsum(x, 1, true, true)],
    ['cumprod', (x) => tf.cumprod(x, 2)],
    ['cumprod of the first axis', (x) => tf.cumprod(x, 0)],
    ['cumprod, exclusive', (x) => tf.cumprod(x, 2, true)],
    ['cumprod, reverse', (x) => tf.cumprod(x, 1, false, true)],
    ['cumprod, exclusive and reverse', (x) => tf.cumprod(x, 2, true, true)],
    ['cumprod with zeros', (x) => tf.cumprod(tf.mul(x, tf.step(tf.add(x, 1))), 2)],
    ['softmax', (x) => tf.softmax(x)],
    ['logSoftmax', (x) => tf.logSoftmax(x)],
    ['topk', (x) => tf.topk(x, 3).values],
  ])('%s', (_, f) => expectSame(({ x }) => f(x), { x }));

  test.each<Case>([
    ['indices of topk, ties included', (x) => tf.topk(tf.round(x), 3).indices],
    ['argMax', (x) => tf.argMax(x, 1)],
    ['argMin', (x) => tf.argMin(x, -1)],
  ])('%s', (_, f) => expectSame(({ x }) => f(x), { x }, { gradient: false }));
});

describe('slices', () => {
  test('slice', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          between(1, 5).chain((n) =>
            between(0, n - 1).chain((b) => fc.tuple(fc.constant(n), fc.constant(b), between(1, n - b))),
          ),
          { minLength: 1, maxLength: 4 },
        ),
        (axes) =>
          expectSame(
            ({ x }: Tensors) =>
              tf.slice(
                x,
                axes.map((a) => a[1]),
                axes.map((a) => a[2]),
              ),
            {
              x: gridNormal(
                2,
                axes.map((a) => a[0]),
              ),
            },
          ),
      ),
      { ...RUNS, numRuns: 15 },
    ));

  test('stridedSlice, forward and backward', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            n: between(1, 7),
            a: between(0, 6),
            b: between(0, 6),
            stride: between(1, 3),
            back: fc.boolean(),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        async (axes) => {
          const parts = axes.map(({ n, a, b, stride, back }) => {
            const low = Math.min(a, b) % n;
            const high = Math.max(low, Math.max(a, b) % n);
            // One past the front is said by counting from the end.
            return back
              ? { n, begin: high, end: low - 1 < 0 ? -n - 1 : low - 1, stride: -stride }
              : { n, begin: low, end: high + 1, stride };
          });
          await expectSame(
            ({ x }: Tensors) =>
              tf.stridedSlice(
                x,
                parts.map((p) => p.begin),
                parts.map((p) => p.end),
                parts.map((p) => p.stride),
              ),
            {
              x: gridNormal(
                3,
                parts.map((p) => p.n),
              ),
            },
          );
        },
      ),
      RUNS,
    ));

  test.each<Case>([
    [
      'an index instead of a range',
      (x) => tf.stridedSlice(x, [1, 0, 2], [2, 4, 3], [1, 1, 1], 0, 0, 0, 0, 5),
    ],
    ['a new axis', (x) => tf.stridedSlice(x, [0, 0, 1], [0, 2, 4], [1, 1, 2], 1, 1, 0, 1)],
    ['open ends', (x) => tf.stridedSlice(x, [0, 1, 1], [0, 0, 0], [1, 2, 1], 1, 7)],
    ['an ellipsis', (x) => tf.stridedSlice(x, [0, 1], [0, 4], [1, 2], 0, 0, 1)],
    [
      'split in sizes',
      (x) => tf.add(tf.split(x, [1, -1], 1)[1], tf.slice(tf.split(x, 5, 2)[2], [0, 1, 0], [3, 3, 1])),
    ],
    ['unstack', (x) => tf.stack(tf.unstack(x, 1).reverse(), 2)],
    ['reverse', (x) => tf.reverse(x, [0, 2])],
  ])('%s', (_, f) => expectSame(({ x }) => f(x), { x }));
});

describe('padding and repeating', () => {
  const padded = fc.array(fc.record({ n: between(2, 5), before: between(0, 4), after: between(0, 4) }), {
    minLength: 1,
    maxLength: 3,
  });
  test.each(['reflect', 'symmetric'] as const)('mirrorPad, %s', (mode) =>
    fc.assert(
      fc.asyncProperty(padded, (axes) => {
        const most = (n: number) => (mode === 'reflect' ? n - 1 : n);
        const sides = axes.map(({ n, before, after }): [number, number] => [
          Math.min(before, most(n)),
          Math.min(after, most(n)),
        ]);
        return expectSame(({ x }: Tensors) => tf.mirrorPad(x, sides, mode), {
          x: gridNormal(
            4,
            axes.map((a) => a.n),
          ),
        });
      }),
      { ...RUNS, numRuns: 15 },
    ),
  );
  test('pad with a number', () =>
    fc.assert(
      fc.asyncProperty(padded, (axes) =>
        expectSame(
          ({ x }: Tensors) =>
            tf.pad(
              x,
              axes.map(({ before, after }): [number, number] => [before, after]),
              -1.5,
            ),
          {
            x: gridNormal(
              5,
              axes.map((a) => a.n),
            ),
          },
        ),
      ),
      { ...RUNS, numRuns: 10 },
    ));
  test('tile, up to five axes', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(between(1, 3), between(1, 3)), { minLength: 1, maxLength: 5 }),
        (axes) =>
          expectSame(
            ({ x }: Tensors) =>
              tf.tile(
                x,
                axes.map((a) => a[1]),
              ),
            {
              x: gridNormal(
                6,
                axes.map((a) => a[0]),
              ),
            },
          ),
      ),
      { ...RUNS, numRuns: 10 },
    ));
  test.each<Case>([
    ['broadcastTo', (x) => tf.broadcastTo(tf.slice(x, [0, 0, 0], [3, 1, 5]), [2, 3, 4, 5])],
    ['diag', (x) => tf.diag(tf.slice(tf.reshape(x, [-1]), 3, 4))],
    ['diag of a matrix', (x) => tf.diag(tf.reshape(tf.slice(x, [0, 0, 0], [1, 2, 3]), [2, 3]))],
    ['meshgrid', (x) => tf.mul(tf.sum(x), tf.meshgrid(tf.range(0, 3), tf.range(0, 2))[0])],
    ['linspace and range', (x) => tf.mul(tf.mul(x, tf.linspace(-1, 2, 5)), tf.range(5, 0, -1))],
    ['eye', (x) => tf.matMul(tf.eye(3, 4), tf.reshape(tf.slice(x, [0, 0, 0], [1, 4, 5]), [4, 5]))],
  ])('%s', (_, f) => expectSame(({ x }) => f(x), { x }));
});

describe('looking up by index', () => {
  test('gather along any axis, with any number of batch axes', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(between(1, 3), { minLength: 1, maxLength: 4 }),
        fc.array(between(1, 3), { maxLength: 2 }),
        between(0, 3),
        between(0, 3),
        between(1, 1000),
        async (shape, inner, axisSeed, batchSeed, seed) => {
          const axis = axisSeed % shape.length;
          const batchDims = batchSeed % (axis + 1);
          const indexShape = [...shape.slice(0, batchDims), ...inner];
          fc.pre(indexShape.length > 0);
          const count = indexShape.reduce((a, b) => a * b, 1);
          const ids = Array.from({ length: count }, (_, i) => ((i + 1) * seed) % shape[axis]);
          await expectSame(({ x, ids }: Tensors) => tf.gather(x, ids, axis, batchDims), {
            x: gridNormal(seed, shape),
            ids: indices(indexShape, ...ids),
          });
        },
      ),
      RUNS,
    ));

  test('gatherND', () =>
    expectSame(({ x, ids }) => tf.gatherND(x, ids), { x, ids: indices([3, 2], 0, 1, 2, 3, 0, 1) }));
  test('scatterND adds', () =>
    expectSame(({ updates, ids }) => tf.scatterND(ids, updates, [4, 2, 3]), {
      updates: gridNormal(7, [3, 3]),
      ids: indices([3, 2], 0, 1, 2, 0, 0, 1),
    }));
  test('tensorScatterUpdate', () =>
    expectSame(({ x, updates, ids }) => tf.tensorScatterUpdate(x, ids, updates), {
      x: gridNormal(8, [4, 3]),
      updates: gridNormal(9, [2, 3]),
      ids: indices([2, 1], 3, 1),
    }));
  test('sparseToDense', () =>
    expectSame(
      ({ ids, values }) => tf.sparseToDense(ids, values, [3, 4], 0.5),
      { ids: indices([2, 2], 0, 1, 2, 3), values: gridNormal(10, [2]) },
      { gradient: false },
    ));
  test('unsortedSegmentSum, negative numbers left out', () =>
    expectSame(({ x, ids }) => tf.unsortedSegmentSum(x, ids as tf.Tensor1D, 4), {
      x: gridNormal(11, [5, 3]),
      ids: indices([5], 2, 0, -1, 2, 3),
    }));
  test('oneHot of any rank', () =>
    expectSame(
      ({ ids }) => tf.oneHot(ids, 3, 2, -1),
      { ids: indices([2, 2], 0, 2, 1, 3) },
      { gradient: false },
    ));
  test.each(['left', 'right'] as const)('searchSorted, %s', (side) =>
    expectSame(
      ({ sorted, x }) => tf.searchSorted(sorted, x, side),
      { sorted: f32([4], Float32Array.of(-1, 0, 0.5, 2)), x: f32([5], Float32Array.of(-2, 0, 0.5, 1, 3)) },
      { gradient: false },
    ),
  );
  test('bincount, and of rows', async () => {
    const ids = indices([6], 1, 0, 2, 1, 1, 4);
    const weights = gridNormal(12, [6]);
    await expectSame(
      ({ ids, weights }) => tf.bincount(ids as tf.Tensor1D, weights as tf.Tensor1D, 4),
      { ids, weights },
      { gradient: false },
    );
    await expectSame(
      ({ ids }) =>
        tf.concat([
          tf.denseBincount(
            tf.reshape(ids, [2, 3]) as tf.Tensor2D,
            tf.zeros([0]) as unknown as tf.Tensor2D,
            4,
          ),
          tf.denseBincount(
            tf.reshape(ids, [2, 3]) as tf.Tensor2D,
            tf.zeros([0]) as unknown as tf.Tensor2D,
            4,
            true,
          ),
        ]),
      { ids },
      { gradient: false },
    );
  });
});

describe('products', () => {
  const matrices = { a: gridNormal(13, [2, 3, 4]), b: gridNormal(14, [2, 4, 5]) };
  test.each([['bij,bjk->bik'], ['bij,bjk->']])('einsum %s', (equation) =>
    expectSame(({ a, b }) => tf.einsum(equation, a, b), matrices),
  );
  // TensorFlow.js's `cpu` fails for these, or means something else by them.
  test.each<[string, (a: tf.Tensor, b: tf.Tensor) => tf.Tensor]>([
    ['bij,bjk->bk', (a, b) => tf.sum(tf.matMul(a, b), 1)],
    ['bij,ajk->ik', (a, b) => tf.matMul(tf.sum(a, 0), tf.sum(b, 0))],
  ])('einsum %s against products and sums', (equation, reference) =>
    expectSame(
      ({ a, b }) => (tf.getBackend() === 'cpu' ? reference(a, b) : tf.einsum(equation, a, b)),
      matrices,
    ),
  );
  test.each([['ij->ji'], ['ij->i'], ['ij->']])('einsum %s', (equation) =>
    expectSame(({ a }) => tf.einsum(equation, a), { a: gridNormal(15, [3, 4]) }),
  );
  test('dot and outerProduct', () =>
    expectSame(({ a, b }) => tf.mul(tf.dot(a, b), tf.outerProduct(a as tf.Tensor1D, b as tf.Tensor1D)), {
      a: gridNormal(16, [4]),
      b: gridNormal(17, [4]),
    }));
  test('matMul with both transposed, batches broadcast', () =>
    fc.assert(
      fc.asyncProperty(fc.boolean(), fc.boolean(), fc.boolean(), (ta, tb, one) =>
        expectSame(({ a, b }: Tensors) => tf.matMul(a, b, ta, tb), {
          a: gridNormal(18, [one ? 1 : 3, ...(ta ? [4, 2] : [2, 4])]),
          b: gridNormal(19, [3, ...(tb ? [5, 4] : [4, 5])]),
        }),
      ),
      { ...RUNS, numRuns: 8 },
    ));
  test('triangles: linalg.bandPart', () =>
    expectSame(({ a }) => tf.matMul(tf.linalg.bandPart(a, -1, 0), tf.linalg.bandPart(a, 0, -1)), {
      a: gridNormal(20, [2, 4, 4]),
    }));
});

describe('images', () => {
  const image = gridNormal(21, [2, 4, 6, 8]);
  test('resizing to any size', () =>
    fc.assert(
      fc.asyncProperty(
        fc.tuple(between(1, 9), between(1, 9)),
        fc.constantFrom([false, false], [true, false], [false, true]),
        fc.boolean(),
        (size, [align, half], bilinear) =>
          expectSame(
            ({ image }: Tensors) =>
              bilinear
                ? tf.image.resizeBilinear(t4(image), size, align, half)
                : tf.image.resizeNearestNeighbor(t4(image), size, align, half),
            { image },
          ),
      ),
      { ...RUNS, numRuns: 25 },
    ));
  test('the gradient of half-pixel centres gives each pixel its share', () => {
    const double = (x: tf.Tensor) => tf.image.resizeBilinear(t4(x), [1, 4], false, true);
    expect([
      ...tf
        .grad(double)(tf.ones([1, 1, 2, 1]))
        .dataSync(),
    ]).toEqual([2, 2]);
  });
  test.each<Case>([
    ['depthToSpace', (x) => tf.depthToSpace(t4(x), 2)],
    [
      'spaceToBatchND',
      (x) =>
        tf.spaceToBatchND(
          x,
          [2, 3],
          [
            [1, 1],
            [0, 3],
          ],
        ),
    ],
    [
      'batchToSpaceND',
      (x) =>
        tf.batchToSpaceND(
          x,
          [1, 2],
          [
            [1, 0],
            [2, 1],
          ],
        ),
    ],
    ['flipLeftRight', (x) => tf.image.flipLeftRight(t4(x))],
    ['dilated pool', (x) => tf.pool(t4(x), 2, 'max', 'valid', [2, 1])],
    ['localResponseNormalization', (x) => tf.localResponseNormalization(t4(x), 2, 1, 0.5, 0.75)],
  ])('%s', (_, f) => expectSame(({ image }) => f(image), { image }));
});
