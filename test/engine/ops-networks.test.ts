// One whole training step of each family of networks, optimiser included: objective, gradients and new parameters on
// `native` and on `cpu`.
import { describe, expect, test } from 'vitest';
import { f32, leaves, type NdArray, tf, valueAndGradients } from '../../src/engine/index.js';
import { passOverRefusal } from './backends.js';
import { expectSame, type Tensors, TOLERANCE, t4 } from './ops-check.js';
import { engines, largestRelativeError, normal, positive, runOn } from './reference.js';

type Arrays = Record<string, NdArray>;
type Optimiser = (w: tf.Tensor, g: tf.Tensor, m: tf.Tensor, v: tf.Tensor) => tf.Tensor;

const decayed = (m: tf.Tensor, g: tf.Tensor, rate: number) => tf.add(tf.mul(m, rate), tf.mul(g, 1 - rate));
const adamStep = (g: tf.Tensor, m: tf.Tensor, v: tf.Tensor) => {
  const mean = tf.div(decayed(m, g, 0.9), 1 - 0.9 ** 3);
  const square = tf.div(decayed(v, tf.square(g), 0.999), 1 - 0.999 ** 3);
  return tf.div(mean, tf.add(tf.sqrt(square), 1e-8));
};

/** New parameters from old ones, gradient, and the state that an optimiser keeps, here m and v ≥ 0. */
const optimisers: Record<string, Optimiser> = {
  'gradient descent': (w, g) => tf.sub(w, tf.mul(0.1, g)),
  momentum: (w, g, m) => tf.sub(w, tf.mul(0.1, tf.add(tf.mul(0.9, m), g))),
  Nesterov: (w, g, m) => {
    const velocity = tf.add(tf.mul(0.9, m), g);
    return tf.sub(w, tf.mul(0.1, tf.add(g, tf.mul(0.9, velocity))));
  },
  Adagrad: (w, g, _, v) => tf.sub(w, tf.mul(0.1, tf.mul(g, tf.rsqrt(tf.add(v, tf.add(tf.square(g), 1e-7)))))),
  RMSprop: (w, g, _, v) =>
    tf.sub(w, tf.div(tf.mul(0.1, g), tf.sqrt(tf.add(decayed(v, tf.square(g), 0.9), 1e-7)))),
  'centred RMSprop': (w, g, m, v) => {
    const spread = tf.sub(decayed(tf.add(v, tf.square(m)), tf.square(g), 0.9), tf.square(decayed(m, g, 0.9)));
    return tf.sub(w, tf.div(tf.mul(0.1, g), tf.sqrt(tf.add(spread, 1e-3))));
  },
  Adadelta: (w, g, m, v) => {
    const step = tf.mul(
      tf.sqrt(tf.div(tf.add(tf.square(m), 1e-7), tf.add(decayed(v, tf.square(g), 0.95), 1e-7))),
      g,
    );
    return tf.sub(w, step);
  },
  Adam: (w, g, m, v) => tf.sub(w, tf.mul(0.1, adamStep(g, m, v))),
  AdamW: (w, g, m, v) => tf.sub(tf.mul(w, 1 - 0.1 * 0.01), tf.mul(0.1, adamStep(g, m, v))),
  Adamax: (w, g, m, v) =>
    tf.sub(w, tf.div(tf.mul(0.1, decayed(m, g, 0.9)), tf.maximum(tf.mul(0.999, v), tf.abs(g)))),
  'a clipped gradient': (w, g) => {
    const norm = tf.norm(g);
    return tf.sub(w, tf.mul(g, tf.div(0.5, tf.maximum(norm, 0.5))));
  },
};

describe('optimisers', () => {
  test.each(Object.entries(optimisers))('%s', (_, update) =>
    expectSame(
      ({ w, g, m, v }) => update(w, g, m, v),
      { w: normal(1, 5, 7), g: normal(2, 5, 7), m: normal(3, 5, 7), v: positive(4, 5, 7) },
      { gradient: false },
    ),
  );
});

/** Normal weights of standard deviation 1 / √fan-in, or zeros for vectors. */
const weights = (shapes: Record<string, number[]>): Arrays =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const fanIn = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      return [
        name,
        f32(shape, normal(100 + i, ...shape).data.map((x) => x / Math.sqrt(fanIn)) as Float32Array),
      ];
    }),
  );
const dense = (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => tf.add(tf.matMul(x, w), b);
const flatten = (x: tf.Tensor) => tf.reshape(x, [x.shape[0], -1]);

/** Objective, gradients and parameters after a step of momentum: the same on both engines. */
async function expectSameStep(
  params: Arrays,
  data: Arrays,
  objective: (p: Tensors, data: Tensors) => tf.Tensor,
): Promise<void> {
  const step = ({ params, data }: { params: Tensors; data: Tensors }) => {
    const { objective: value, gradients } = valueAndGradients(
      (p: Tensors) => ({ objective: tf.reshape(objective(p, data), []) as tf.Scalar, aux: {} }),
      params,
    );
    const updated = Object.fromEntries(
      Object.entries(params).map(([name, w]) => [name, tf.sub(w, tf.mul(0.1, gradients[name]))]),
    );
    return { value, gradients, updated };
  };
  const { native, cpu } = await engines();
  const inputs = { params, data };
  const actual = await runOn(native, step as never, inputs).catch(passOverRefusal);
  if (!actual) return;
  const expected = await runOn(cpu, step as never, inputs);
  const { path, error } = largestRelativeError(actual, expected);
  expect(error, path).toBeLessThan(TOLERANCE);
  // Every parameter takes part.
  for (const [name, { data }] of leaves<NdArray>((expected as unknown as { gradients: Arrays }).gradients))
    expect(
      data.some((g) => Math.abs(g) > 1e-6),
      name,
    ).toBe(true);
}

describe('a training step', () => {
  const labels = f32([4, 3], Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0));
  const image = normal(1, 4, 8, 8, 2);

  test('of a convolutional network with batch norm and dropout', () =>
    expectSameStep(
      weights({ conv1: [3, 3, 2, 4], scale: [4], offset: [4], conv2: [3, 3, 4, 6], fc: [24, 3], bias: [3] }),
      {
        image,
        labels,
        mask: { shape: [4, 24], data: positive(5, 4, 24).data.map((x) => (x > 0.8 ? 1 / 0.7 : 0)) },
      },
      (p, { image, labels, mask }) => {
        const h = tf.conv2d(t4(image), t4(p.conv1), 1, 'same');
        const { mean, variance } = tf.moments(h, [0, 1, 2]);
        const normalised = tf.batchNorm(h, mean, variance, p.offset, tf.add(1, p.scale), 1e-3);
        const pooled = tf.maxPool(tf.relu(normalised) as tf.Tensor4D, 3, 2, 'same');
        const g = tf.avgPool(tf.elu(tf.conv2d(pooled, t4(p.conv2), 1, 'same')), 2, 2, 'valid');
        const logits = dense(tf.mul(flatten(g), mask), p.fc, p.bias);
        return tf.losses.softmaxCrossEntropy(labels, logits);
      },
    ));

  test('of a depthwise-separable network with residuals and dilation', () =>
    expectSameStep(
      weights({
        stem: [3, 3, 2, 4],
        depth1: [3, 3, 4, 1],
        point1: [1, 1, 4, 4],
        depth2: [3, 3, 4, 2],
        point2: [1, 1, 8, 6],
        fc: [6, 3],
        bias: [3],
      }),
      { image, labels },
      (p, { image, labels }) => {
        const stem = tf.relu6(tf.conv2d(t4(image), t4(p.stem), 2, 'same'));
        const block = tf.separableConv2d(stem, t4(p.depth1), t4(p.point1), 1, 'same', [2, 2]);
        const sum = tf.leakyRelu(tf.add(stem, block), 0.1) as tf.Tensor4D;
        const deep = tf.separableConv2d(sum, t4(p.depth2), t4(p.point2), 2, 'same');
        return tf.losses.softmaxCrossEntropy(labels, dense(tf.mean(deep, [1, 2]), p.fc, p.bias));
      },
    ));

  test('of a dense network with layer norm', () =>
    expectSameStep(
      weights({ w1: [12, 16], b1: [16], gain: [16], shift: [16], w2: [16, 2], b2: [2] }),
      { x: normal(6, 5, 12), y: normal(7, 5, 2) },
      (p, { x, y }) => {
        const h = dense(x, p.w1, p.b1);
        const { mean, variance } = tf.moments(h, -1, true);
        const normalised = tf.mul(tf.sub(h, mean), tf.rsqrt(tf.add(variance, 1e-5)));
        const scaled = tf.add(tf.mul(normalised, tf.add(1, p.gain)), p.shift);
        const gelu = tf.mul(tf.mul(0.5, scaled), tf.add(1, tf.erf(tf.div(scaled, Math.SQRT2))));
        return tf.losses.huberLoss(y, dense(gelu, p.w2, p.b2));
      },
    ));

  test('of a variational autoencoder with transposed convolutions', () =>
    expectSameStep(
      weights({
        enc1: [3, 3, 2, 4],
        enc2: [3, 3, 4, 6],
        encoded: [24, 6],
        encodedBias: [6],
        dec: [3, 24],
        decBias: [24],
        up1: [3, 3, 4, 6],
        up2: [4, 4, 2, 4],
      }),
      { image, noise: normal(8, 4, 3) },
      (p, { image, noise }) => {
        const target = tf.sigmoid(image);
        const down = tf.softplus(tf.conv2d(t4(target), t4(p.enc1), 2, 'same')) as tf.Tensor4D;
        const code = dense(flatten(tf.elu(tf.conv2d(down, t4(p.enc2), 2, 'same'))), p.encoded, p.encodedBias);
        const [mean, logVariance] = tf.split(code, 2, 1);
        const z = tf.add(mean, tf.mul(tf.exp(tf.mul(0.5, logVariance)), noise));
        const seed = tf.reshape(tf.tanh(dense(z, p.dec, p.decBias)), [4, 2, 2, 6]);
        const up = tf.relu(tf.conv2dTranspose(t4(seed), t4(p.up1), [4, 4, 4, 4], 2, 'same'));
        const logits = tf.conv2dTranspose(t4(up), t4(p.up2), [4, 8, 8, 2], 2, 'same');
        const reconstruction = tf.losses.sigmoidCrossEntropy(target, logits, undefined, 0, tf.Reduction.SUM);
        const divergence = tf.mul(
          0.5,
          tf.sum(tf.sub(tf.add(tf.square(mean), tf.exp(logVariance)), tf.add(1, logVariance))),
        );
        return tf.div(tf.add(reconstruction, divergence), 4);
      },
    ));

  test('of a flow of affine couplings', () =>
    expectSameStep(
      weights({ a1: [3, 8], c1: [8], a2: [8, 6], c2: [6], b1: [3, 8], d1: [8], b2: [8, 6], d2: [6] }),
      { x: normal(9, 7, 6) },
      (p, { x }) => {
        let y = x;
        let logDeterminant: tf.Tensor = tf.zeros([7]);
        for (const [w1, e1, w2, e2] of [
          [p.a1, p.c1, p.a2, p.c2],
          [p.b1, p.d1, p.b2, p.d2],
        ]) {
          const [kept, changed] = tf.split(y, 2, 1);
          const [s, t] = tf.split(dense(tf.leakyRelu(dense(kept, w1, e1), 0.2), w2, e2), 2, 1);
          const scale = tf.tanh(s);
          // The halves change places, in reverse order.
          y = tf.reverse(tf.concat([kept, tf.add(tf.mul(changed, tf.exp(scale)), t)], 1), 1);
          logDeterminant = tf.add(logDeterminant, tf.sum(scale, 1));
        }
        const logDensity = tf.mul(-0.5, tf.sum(tf.add(tf.square(y), Math.log(2 * Math.PI)), 1));
        return tf.neg(tf.mean(tf.add(logDensity, logDeterminant)));
      },
    ));

  test('of a mixture of normals with triangular precision factors', () =>
    expectSameStep(
      { ...weights({ means: [3, 4], factors: [3, 4, 4] }), logits: normal(10, 3) },
      { x: normal(11, 9, 4) },
      (p, { x }) => {
        // Precision = LᵀL with L lower triangular and exp on its diagonal: no decomposition, no inverse.
        const below = tf.linalg.bandPart(p.factors, -1, 0);
        const diagonal = tf.sum(tf.mul(p.factors, tf.eye(4)), -1); // [k, d]
        const L = tf.add(
          tf.sub(below, tf.mul(tf.expandDims(diagonal, -1), tf.eye(4))),
          tf.mul(tf.expandDims(tf.exp(diagonal), -1), tf.eye(4)),
        );
        const centred = tf.sub(tf.expandDims(x, 0), tf.expandDims(p.means, 1)); // [k, n, d]
        const whitened = tf.matMul(centred, L, false, true);
        const quadratic = tf.mul(-0.5, tf.sum(tf.square(whitened), -1)); // [k, n]
        const logWeights = tf.add(tf.logSoftmax(p.logits), tf.sum(diagonal, -1)); // [k]
        const joint = tf.add(quadratic, tf.expandDims(logWeights, 1));
        return tf.neg(tf.mean(tf.logSumExp(joint, 0)));
      },
    ));

  test('of a classifier of sequences of tokens', () =>
    expectSameStep(
      weights({ table: [7, 5], w: [5, 3], b: [3] }),
      {
        tokens: { shape: [4, 6], data: Int32Array.from({ length: 24 }, (_, i) => (i * 5) % 7) },
        labels,
      },
      (p, { tokens, labels }) => {
        const embedded = tf.gather(p.table, tokens); // [n, length, 5]
        const weights = tf.softmax(tf.sum(tf.cumsum(embedded, 1), -1)); // [n, length]
        const pooled = tf.sum(tf.mul(embedded, tf.expandDims(weights, -1)), 1);
        return tf.losses.softmaxCrossEntropy(labels, dense(pooled, p.w, p.b));
      },
    ));
});

describe('inference', () => {
  const image = normal(12, 2, 6, 6, 3);
  const frozen = weights({ w: [3, 3, 3, 4], b: [4], depth: [3, 3, 4, 2], slope: [8], fc: [72, 5] });
  const inputs = { image, ...frozen, mean: normal(13, 4), variance: positive(14, 4) };
  test('convolutions and products with a bias and an activation', () =>
    expectSame(
      ({ image, w, b, depth, slope, fc }) => {
        const conv = tf.fused.conv2d({
          x: t4(image),
          filter: t4(w),
          strides: 1,
          pad: 'same',
          bias: b,
          activation: 'leakyrelu',
          leakyreluAlpha: 0.3,
        });
        const deep = tf.fused.depthwiseConv2d({
          x: conv,
          filter: t4(depth),
          strides: 2,
          pad: 'same',
          activation: 'prelu',
          preluActivationWeights: slope,
        });
        return tf.fused.matMul({
          a: flatten(deep) as tf.Tensor2D,
          b: fc,
          bias: tf.scalar(0.5),
          activation: 'elu',
        });
      },
      inputs,
      { gradient: false },
    ));

  test('and their gradients', () =>
    expectSame(
      ({ image, w, b }) =>
        tf.fused.conv2d({
          x: t4(image),
          filter: t4(w),
          strides: 1,
          pad: 'same',
          bias: b,
          activation: 'relu',
        }),
      { image, w: frozen.w, b: frozen.b },
    ));

  test('batch norm of known statistics, with and without scale and offset', async () => {
    const { native, cpu } = await engines();
    const constants = { mean: inputs.mean, variance: inputs.variance, offset: frozen.b };
    const f = ({ x }: Tensors, c: Tensors) => ({
      full: tf.batchNorm(x, c.mean, c.variance, c.offset, c.variance),
      bare: tf.batchNorm(x, c.mean, c.variance),
    });
    const x = normal(15, 2, 5, 5, 4);
    const results = [];
    for (const engine of [native, cpu]) {
      const step = await engine.compile(f as never, { inputs: { x }, constants });
      results.push(await step.run({ x } as never));
      await step.release();
    }
    const { path, error } = largestRelativeError(results[0], results[1]);
    expect(error, path).toBeLessThan(TOLERANCE);
  });

  test('batch norm of a large mean keeps its digits', () =>
    expectSame(
      ({ x }) => {
        const { mean, variance } = tf.moments(x, [0, 1, 2]);
        return tf.batchNorm(x, mean, variance, undefined, undefined, 1e-3);
      },
      { x: f32([2, 5, 5, 4], normal(16, 2, 5, 5, 4).data.map((v) => 40 + v) as Float32Array) },
      { tolerance: 2e-5, gradient: false }, // the input itself is known to 40 · 2⁻²⁴ of a standard deviation
    ));

  test('batch norm with statistics that keep their axes', () =>
    expectSame(({ x, mean, variance }) => tf.batchNorm(x, mean, variance), {
      x: normal(17, 2, 3, 3, 4),
      mean: normal(18, 1, 1, 1, 4),
      variance: positive(19, 1, 1, 1, 4),
    }));
});
