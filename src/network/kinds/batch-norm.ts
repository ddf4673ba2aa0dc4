// Batch normalisation (Ioffe & Szegedy 2015): each channel minus its mean, over its standard deviation. Training takes the
// statistics of the batch and keeps running averages, at first with equal weights; predictions take the statistics that
// they are given, so that no prediction depends on the images beside it (docs/gotchas.md).
import { z } from 'zod';
import { tf } from '../../engine/index.js';
import { type LayerKind, type LayerResult, onnxConstant } from '../layer.js';

const options = z.strictObject({
  epsilon: z.number().min(0).max(1).default(1e-5).describe('added to variances'),
  momentum: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe(
      'share of the running averages that stays in a step, less in the first steps: 1 - 1/t in step t',
    ),
  scale: z
    .boolean()
    .default(true)
    .describe('whether the result is multiplied by a trained number per channel'),
  offset: z.boolean().default(true).describe('whether a trained number per channel is added'),
});

export type BatchNormOptions = z.infer<typeof options>;

export const batchNorm: LayerKind<BatchNormOptions> = {
  kind: 'batch-norm',
  options,
  inputs: 'one',
  shape: (_, [input]) => input,
  apply(
    { options: { epsilon, momentum } },
    [x],
    { parameters: { scale, offset }, state, mode },
  ): LayerResult {
    const normalise = (mean: tf.Tensor, variance: tf.Tensor) => {
      const deviation = tf.rsqrt(tf.add(variance, epsilon));
      const factor = scale ? tf.mul(deviation, scale) : deviation;
      const scaled = tf.mul(tf.sub(x, mean), factor);
      return offset ? tf.add(scaled, offset) : scaled;
    };
    if (mode === 'prediction') return { output: normalise(state.mean, state.variance) };
    const axes = x.shape.map((_, axis) => axis).slice(0, -1);
    const mean = tf.mean(x, axes);
    const variance = tf.mean(tf.square(tf.sub(x, mean)), axes);
    const output = normalise(mean, variance);
    if (mode === 'statistics') return { output, state: { mean, variance } };
    const steps = tf.add(state.steps, 1); // t of this step
    const kept = tf.minimum(tf.sub(1, tf.div(1, steps)), momentum);
    const follow = (average: tf.Tensor, now: tf.Tensor) => tf.add(now, tf.mul(kept, tf.sub(average, now)));
    return {
      output,
      state: { mean: follow(state.mean, mean), variance: follow(state.variance, variance), steps },
    };
  },
  parameters: ({ options: { scale, offset }, outputShape }) => ({
    ...(scale && { scale: { shape: [outputShape.at(-1)!], start: 1 } }),
    ...(offset && { offset: { shape: [outputShape.at(-1)!], start: 0 } }),
  }),
  state: ({ outputShape }) => ({
    mean: { shape: [outputShape.at(-1)!], start: 0 },
    variance: { shape: [outputShape.at(-1)!], start: 1 },
    steps: { shape: [], start: 0 },
  }),
  multiplyAdds: () => 0,
  toOnnx(g, { options: { epsilon }, outputShape }, [x], { scale, offset, mean, variance }) {
    const channels = [outputShape.at(-1)!];
    const constant = (array: typeof scale | undefined, otherwise: number) =>
      array ? onnxConstant(g, array) : g.uniform(otherwise, channels);
    const inputs = [x, constant(scale, 1), constant(offset, 0), constant(mean, 0), constant(variance, 1)];
    return g.emit1('BatchNormalization', inputs, x.shape, { epsilon: { float: epsilon } });
  },
};
