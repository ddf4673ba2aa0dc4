// Elementwise functions on random shapes that broadcast: values and gradients on `native` and on `cpu`.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { f32, type NdArray, RandomStream, seedKey, sizeOf, tf } from '../../src/engine/index.js';
import { expectSame, RUNS, type Tensors } from './ops-check.js';

const between = (min: number, max: number) => fc.integer({ min, max });
/** Two shapes that broadcast: lengths of 1 and missing leading axes on either side. */
const broadcastPairs = fc
  .array(fc.record({ size: between(1, 4), a: fc.boolean(), b: fc.boolean() }), { minLength: 1, maxLength: 4 })
  .chain((axes) =>
    fc.record({
      a: fc.constant(axes.map(({ size, a }) => (a ? 1 : size))),
      b: fc.constant(axes.map(({ size, b }) => (b ? 1 : size))),
      dropA: between(0, axes.length),
      dropB: between(0, axes.length),
      seed: between(1, 1000),
    }),
  )
  .map(({ a, b, dropA, dropB, seed }) =>
    // Axes are dropped from one side only: the other keeps the rank.
    seed % 2 ? { a: a.slice(dropA), b, seed } : { a, b: b.slice(dropB), seed },
  );

/** Numbers from min to max, not on a grid: no ties. */
const uniform = (seed: number, shape: readonly number[], min: number, max: number): NdArray => {
  const stream = new RandomStream(seedKey(seed));
  return f32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => min + (max - min) * stream.uniform()),
  );
};
const integers = (seed: number, shape: readonly number[], min: number, max: number): NdArray => ({
  shape,
  data: Int32Array.from(uniform(seed, shape, min, max + 1).data, Math.floor),
});
const booleans = (seed: number, shape: readonly number[]): NdArray => ({
  shape,
  data: Uint8Array.from(integers(seed, shape, 0, 1).data),
});

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

describe('two operands, broadcast', () => {
  /** Operands in ranges where the function is smooth; `b` away from 0 where it divides. */
  const functions: Record<string, { f: Binary; a?: [number, number]; b?: [number, number] }> = {
    add: { f: tf.add },
    sub: { f: tf.sub },
    mul: { f: tf.mul },
    div: { f: tf.div, b: [0.5, 2] },
    divNoNan: { f: tf.divNoNan, b: [0.5, 2] },
    maximum: { f: tf.maximum },
    minimum: { f: tf.minimum },
    squaredDifference: { f: tf.squaredDifference },
    pow: { f: tf.pow, a: [0.5, 2], b: [-2, 2] },
    atan2: { f: tf.atan2 },
    mod: { f: tf.mod, a: [-5, 5], b: [0.7, 0.9] },
    'mod by negatives': { f: tf.mod, a: [-5, 5], b: [-0.9, -0.7] },
    prelu: { f: (a, b) => tf.prelu(tf.add(a, tf.zerosLike(b)), b) },
    where: { f: (a, b) => tf.where(tf.greater(a, b), a, tf.mul(2, b)) },
  };
  test.each(Object.entries(functions))('%s', (_, { f, a = [-2, 2], b = [-2, 2] }) =>
    fc.assert(
      fc.asyncProperty(broadcastPairs, (shapes) =>
        expectSame(({ a, b }: Tensors) => f(a, b), {
          a: uniform(shapes.seed, shapes.a, ...a),
          b: uniform(shapes.seed + 1, shapes.b, ...b),
        }),
      ),
      { ...RUNS, numRuns: 8 },
    ),
  );

  test('equal operands of maximum and minimum', () =>
    expectSame(({ a, b }) => tf.add(tf.maximum(a, b), tf.mul(3, tf.minimum(a, b))), {
      a: f32([3], Float32Array.of(1, 2, 3)),
      b: f32([3], Float32Array.of(1, 3, 2)),
    }));
});

describe('whole numbers and booleans', () => {
  const binary: Record<string, Binary> = {
    add: tf.add,
    sub: tf.sub,
    mul: tf.mul,
    'div, which is floorDiv': tf.div,
    floorDiv: tf.floorDiv,
    mod: tf.mod,
    maximum: tf.maximum,
    minimum: tf.minimum,
    squaredDifference: tf.squaredDifference,
    bitwiseAnd: (a, b) => tf.bitwiseAnd(a, tf.broadcastTo(b, [3, 8])),
    greater: tf.greater,
    greaterEqual: tf.greaterEqual,
    less: tf.less,
    lessEqual: tf.lessEqual,
    equal: tf.equal,
    notEqual: tf.notEqual,
    where: (a, b) => tf.where(tf.less(a, b), a, b),
  };
  test.each(Object.entries(binary))('int32 %s', (_, f) =>
    expectSame(
      ({ a, b }) => f(a, b),
      {
        a: integers(1, [3, 8], -9, 9),
        b: { shape: [8], data: Int32Array.of(-4, -3, -2, -1, 1, 2, 3, 4) },
      },
      { gradient: false },
    ),
  );

  test.each<[string, (a: tf.Tensor) => tf.Tensor]>([
    ['neg', tf.neg],
    ['abs', tf.abs],
    ['sign', tf.sign],
    ['square', tf.square],
    ['relu', tf.relu],
    ['clip', (a) => tf.clipByValue(a, -3, 4)],
    ['sum', (a) => tf.sum(a, 0)],
    ['mean', (a) => tf.mean(a, 0)],
    ['max', (a) => tf.max(a, 1)],
    ['min', (a) => tf.min(a, 1)],
    ['prod', (a) => tf.prod(a, 0)],
    ['cumsum', (a) => tf.cumsum(a, 1)],
    ['cumprod', (a) => tf.cumprod(a, 0)],
    ['argMax', (a) => tf.argMax(a, 1)],
    ['argMin', (a) => tf.argMin(a, 0)],
    ['cast', (a) => tf.cast(a, 'bool')],
    ['pad', (a) => tf.pad(a, [[1, 0], [0, 2]], 7)], // biome-ignore format: one line
    ['reverse', (a) => tf.reverse(a)],
    ['tile', (a) => tf.tile(a, [2, 2])],
    ['topk', (a) => tf.topk(a, 2).values],
    ['gather', (a) => tf.gather(a, tf.tensor1d([1, 1, 0], 'int32'), 1)],
    ['concat', (a) => tf.concat([a, a], 1)],
    ['equal to numbers', (a) => tf.equal(a, 3)],
  ])('int32 %s', (_, f) =>
    expectSame(({ a }) => f(a), { a: integers(2, [3, 4], -5, 5) }, { gradient: false }),
  );

  test.each<[string, Binary]>([
    ['logicalAnd', tf.logicalAnd],
    ['logicalOr', tf.logicalOr],
    ['logicalXor', tf.logicalXor],
    ['logicalNot', (a) => tf.logicalNot(a)],
    ['where', (a, b) => tf.where(a, b, tf.logicalNot(b))],
    ['equal', tf.equal],
    ['notEqual', tf.notEqual],
    ['less', tf.less],
    ['any', (a) => tf.any(a, 1)],
    ['all', (a) => tf.all(a, 0)],
    ['sum', (a) => tf.sum(a, 1)],
    ['cast', (a) => tf.cast(a, 'float32')],
    ['concat', (a, b) => tf.concat([a, b], 0)],
    ['tile', (a) => tf.tile(a, [2, 1])],
    ['reverse', (a) => tf.reverse(a, 1)],
    ['times a float', (a) => tf.mul(a, tf.scalar(1.5))],
  ])('bool %s', (_, f) =>
    expectSame(
      ({ a, b }) => f(a, b),
      { a: booleans(3, [4, 5]), b: booleans(4, [4, 5]) },
      { gradient: false },
    ),
  );

  test('booleans broadcast', () =>
    expectSame(
      ({ a, b }) => tf.logicalXor(a, b),
      { a: booleans(5, [3, 1]), b: booleans(6, [4]) },
      { gradient: false },
    ));
});

describe('one operand', () => {
  const functions: Record<string, [f: (x: tf.Tensor) => tf.Tensor, min: number, max: number]> = {
    sin: [tf.sin, -4, 4],
    cos: [tf.cos, -4, 4],
    tan: [tf.tan, -1.2, 1.2],
    asin: [tf.asin, -0.9, 0.9],
    acos: [tf.acos, -0.9, 0.9],
    atan: [tf.atan, -4, 4],
    sinh: [tf.sinh, -3, 3],
    cosh: [tf.cosh, -3, 3],
    tanh: [tf.tanh, -3, 3],
    asinh: [tf.asinh, -3, 3],
    acosh: [tf.acosh, 1.2, 4],
    atanh: [tf.atanh, -0.9, 0.9],
    abs: [tf.abs, -2, 2],
    exp: [tf.exp, -3, 3],
    expm1: [tf.expm1, -3, 3],
    'expm1 near 0': [tf.expm1, -1e-4, 1e-4],
    log: [tf.log, 0.1, 4],
    log1p: [tf.log1p, -0.9, 9],
    'log1p near 0': [tf.log1p, -1e-4, 1e-4],
    sqrt: [tf.sqrt, 0.1, 4],
    rsqrt: [tf.rsqrt, 0.1, 4],
    reciprocal: [tf.reciprocal, 0.2, 2],
    erf: [tf.erf, -3, 3],
    sigmoid: [tf.sigmoid, -5, 5],
    logSigmoid: [tf.logSigmoid, -5, 5],
    softplus: [tf.softplus, -5, 5],
    'softplus of what is very negative': [tf.softplus, -30, -12],
    'softplus of less than rounding': [tf.softplus, -40, -30],
    relu: [tf.relu, -2, 2],
    relu6: [tf.relu6, -3, 9],
    leakyRelu: [(x) => tf.leakyRelu(x, 0.1), -2, 2],
    'leakyRelu with a slope above 1': [(x) => tf.leakyRelu(x, 1.5), -2, 2],
    'leakyRelu with a negative slope': [(x) => tf.leakyRelu(x, -0.5), -2, 2],
    elu: [tf.elu, -3, 3],
    selu: [tf.selu, -3, 3],
    clip: [(x) => tf.clipByValue(x, -0.5, 0.7), -2, 2],
    step: [(x) => tf.mul(x, tf.step(x, 0.3)), -2, 2],
    softsign: [(x) => tf.div(x, tf.add(1, tf.abs(x))), -3, 3],
    gelu: [(x) => tf.mul(tf.mul(0.5, x), tf.add(1, tf.erf(tf.div(x, Math.SQRT2)))), -3, 3],
    swish: [(x) => tf.mul(x, tf.sigmoid(x)), -3, 3],
    mish: [(x) => tf.mul(x, tf.tanh(tf.softplus(x))), -3, 3],
  };
  test.each(Object.entries(functions))('%s', (_, [f, min, max]) =>
    expectSame(({ x }) => f(x), { x: uniform(7, [3, 17], min, max) }),
  );

  test('rounding, also of halves', () =>
    expectSame(
      ({ x }) => tf.stack([tf.round(x), tf.floor(x), tf.ceil(x), tf.sign(x)]),
      { x: f32([6], Float32Array.of(-2.5, -1.5, -0.4, 0, 0.5, 1.5)) },
      { gradient: false },
    ));

  test('edges: clipping limits, kinks, steps', () =>
    expectSame(
      ({ x }) => tf.addN([tf.clipByValue(x, -1, 1), tf.relu(x), tf.leakyRelu(x), tf.abs(x), tf.relu6(x)]),
      { x: f32([6], Float32Array.of(-1, 0, 1, 6, -1e-30, 1e-30)) },
    ));

  test('numbers that are none', () =>
    expectSame(
      ({ x }) => tf.stack([tf.isNaN(x), tf.isInf(x), tf.isFinite(x)]),
      { x: f32([5], Float32Array.of(Number.NaN, Infinity, -Infinity, 0, 1)) },
      { gradient: false },
    ));
  test('log1p and expm1 at their ends', () =>
    expectSame(
      ({ x }) => tf.concat([tf.exp(tf.neg(tf.log1p(x))), tf.expm1(tf.neg(x))]),
      { x: f32([4], Float32Array.of(0, 1e30, Infinity, 1e-20)) },
      { gradient: false },
    ));
  test('atan2 on the axes', () =>
    expectSame(
      ({ y, x }) => tf.atan2(y, x),
      {
        y: f32([5], Float32Array.of(0, 1, -1, 0, 0)),
        x: f32([5], Float32Array.of(0, 0, 0, 1, -1)),
      },
      { gradient: false },
    ));
});

test('the gradient of |x| at 0 is 0', () => {
  expect([
    ...tf
      .grad((x: tf.Tensor) => tf.abs(x))(tf.tensor1d([-2, 0, 3]))
      .dataSync(),
  ]).toEqual([-1, 0, 1]);
});
