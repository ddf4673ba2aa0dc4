// Convolutions and pools with so many channels that they run in blocks: equal to plain JavaScript, and to the same
// engine without blocks, values and gradients.
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { createEngine, type Engine, tf, valueAndGradients } from '../../src/engine/index.js';
import { nativeEngine } from '../../src/engine/native.js';
import { largestRelativeError, normal, runOn } from './reference.js';

let blocked: Engine;
let plain: Engine;
let cpu: Engine;
beforeAll(async () => {
  blocked = await createEngine('native', 1);
  plain = await nativeEngine({ threads: 1, device: 'cpu', blocks: false });
  cpu = await createEngine('cpu');
});

type Pair = [number, number];
/** Channel numbers around the limits of blocks of 8 and 16: full, with a remainder, too few. */
const channels = fc.constantFrom(1, 3, 8, 12, 14, 16, 20, 25, 32);
const convolution = fc.record({
  n: fc.constantFrom(1, 12, 16, 17, 24),
  size: fc.tuple(fc.integer({ min: 4, max: 7 }), fc.integer({ min: 4, max: 7 })),
  inputs: channels,
  outputs: channels,
  kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  stride: fc.constantFrom<Pair>([1, 1], [1, 1], [2, 2], [2, 1]),
  dilation: fc.constantFrom<Pair>([1, 1], [1, 1], [2, 1]),
  pad: fc.constantFrom(
    'same' as const,
    'valid' as const,
    [
      [0, 0],
      [1, 0],
      [0, 2],
      [0, 0],
    ] as [Pair, Pair, Pair, Pair],
  ),
});

const RUNS = { numRuns: 40, seed: 17 };

test('convolutions', async () => {
  await fc.assert(
    fc.asyncProperty(convolution, async ({ n, size, inputs, outputs, kernel, stride, dilation, pad }) => {
      const strided = stride.some((s) => s > 1);
      const given = { x: normal(1, n, ...size, inputs), w: normal(2, ...kernel, inputs, outputs) };
      const f = (given: Record<'x' | 'w', tf.Tensor>) => {
        const { aux, gradients } = valueAndGradients((p: Record<'x' | 'w', tf.Tensor>) => {
          const y = tf.conv2d(
            p.x as tf.Tensor4D,
            p.w as tf.Tensor4D,
            stride,
            pad,
            'NHWC',
            strided ? 1 : dilation,
          );
          const c = tf.reshape(tf.cos(tf.range(1, y.size + 1)), y.shape);
          return { objective: tf.sum(tf.mul(y, c)) as tf.Scalar, aux: { y } };
        }, given);
        return { y: aux.y, gradients };
      };
      const actual = await runOn(blocked, f, given);
      for (const reference of [plain, cpu]) {
        const { error, path } = largestRelativeError(actual, await runOn(reference, f, given));
        expect(error, `${reference.name}: ${path}`).toBeLessThan(1e-5);
      }
    }),
    RUNS,
  );
});

const pool = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  size: fc.tuple(fc.integer({ min: 4, max: 9 }), fc.integer({ min: 4, max: 9 })),
  channels,
  window: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
});

test('max pools of tiles, ties included', async () => {
  await fc.assert(
    fc.asyncProperty(pool, async ({ n, size, channels, window }) => {
      const x = normal(3, n, ...size, channels);
      // Rounded to halves, so that most tiles hold their maximum more than once.
      for (let i = 0; i < x.data.length; i++) x.data[i] = Math.round(2 * x.data[i]) / 2;
      const f = ({ x }: { x: tf.Tensor }) => {
        const { aux, gradients } = valueAndGradients(
          (p: { x: tf.Tensor }) => {
            const y = tf.maxPool(p.x as tf.Tensor4D, window, window, 'valid');
            const c = tf.reshape(tf.range(1, y.size + 1), y.shape);
            return { objective: tf.sum(tf.mul(y, c)) as tf.Scalar, aux: { y } };
          },
          { x },
        );
        return { y: aux.y, gradients };
      };
      const actual = await runOn(blocked, f, { x });
      for (const reference of [plain, cpu]) {
        const { error, path } = largestRelativeError(actual, await runOn(reference, f, { x }));
        expect(error, `${reference.name}: ${path}`).toBe(0);
      }
    }),
    RUNS,
  );
});

test('this machine has blocks, and they are used', async (context) => {
  const step = await blocked.compile(
    ({ x, w }: { x: tf.Tensor; w: tf.Tensor }) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'),
    { inputs: { x: normal(1, 2, 8, 8, 32), w: normal(2, 3, 3, 32, 32) } },
  );
  const { executed } = await blocked.explain(step, 1);
  await step.release();
  if (!['x64', 'arm64'].includes(process.arch)) context.skip(`blocks are not known for ${process.arch}`);
  expect(executed.map(({ op }) => op)).toContain('ReorderOutput');
});
