// Group normalisation (Wu & He 2018): channels in groups, each example on its own. Layer normalisation is one group. No
// running averages, and nothing that depends on the batch.
import { z } from 'zod';
import { type Attribute, type Graph, tf, type Value } from '../../engine/index.js';
import { type Layer, type LayerKind, noArrays, onnxConstant, ShapeError } from '../layer.js';
import { count } from '../window.js';

const shared = {
  epsilon: z.number().min(0).max(1).default(1e-5).describe('added to variances'),
};
const groupOptions = z.strictObject({ groups: count.describe('groups of channels'), ...shared });
const layerOptions = z.strictObject(shared);

function normalisation<Options extends { epsilon: number }>(
  kind: string,
  options: z.ZodType<Options>,
  groupsOf: (options: Options) => number,
): LayerKind<Options> {
  return {
    kind,
    options,
    inputs: 'one',
    shape(given, [input]) {
      const channels = input.at(-1)!;
      const groups = groupsOf(given);
      if (channels % groups !== 0)
        throw new ShapeError(`${groups} groups do not divide ${channels} channels`);
      return input;
    },
    apply({ options: given, outputShape: shape }, [x], { parameters: { scale, offset } }) {
      const channels = shape.at(-1)!;
      const groups = groupsOf(given);
      const n = x.shape[0]!;
      const grouped = tf.reshape(x, [n, -1, groups, channels / groups]); // [n, positions, groups, channels of one]
      const mean = tf.mean(grouped, [1, 3], true);
      const apart = tf.sub(grouped, mean);
      const variance = tf.mean(tf.square(apart), [1, 3], true);
      const normal = tf.reshape(tf.mul(apart, tf.rsqrt(tf.add(variance, given.epsilon))), [n, ...shape]);
      return { output: tf.add(tf.mul(normal, scale), offset) };
    },
    parameters: ({ outputShape }) => ({
      scale: { shape: [outputShape.at(-1)!], start: 1 },
      offset: { shape: [outputShape.at(-1)!], start: 0 },
    }),
    state: noArrays,
    multiplyAdds: () => 0,
    toOnnx: (g, layer, [x], { scale, offset }) =>
      groupsToOnnx(g, layer, groupsOf(layer.options), x, onnxConstant(g, scale), onnxConstant(g, offset)),
  };
}

/** InstanceNormalization of [n, groups, everything of a group], then the scale and offset of each channel. */
function groupsToOnnx(
  g: Graph,
  { options: { epsilon }, outputShape }: Layer<{ epsilon: number }>,
  groups: number,
  x: Value,
  scale: Value,
  offset: Value,
): Value {
  const attributes: Record<string, Attribute> = { epsilon: { float: epsilon } };
  const size = outputShape.reduce((a, b) => a * b, 1) / groups;
  const perGroup = [g.uniform(1, [groups]), g.uniform(0, [groups])];
  const grouped = g.reshape(x, [-1, groups, size]);
  const normal = g.reshape(
    g.emit1('InstanceNormalization', [grouped, ...perGroup], [-1, groups, size], attributes),
    x.shape,
  );
  const spread = (value: Value) =>
    g.reshape(value, outputShape.length === 3 ? [outputShape[2], 1, 1] : [outputShape[0]]);
  const scaled = g.emit1('Mul', [normal, spread(scale)], x.shape);
  return g.emit1('Add', [scaled, spread(offset)], x.shape);
}

export const groupNorm = normalisation('group-norm', groupOptions, ({ groups }) => groups);
export const layerNorm = normalisation('layer-norm', layerOptions, () => 1);
