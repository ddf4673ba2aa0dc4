// Activations: one function for every element. A new one is a line of the table.
import { z } from 'zod';
import { type Attribute, type Graph, tf, type Value } from '../../engine/index.js';
import { type LayerKind, noArrays } from '../layer.js';

interface Activation<Options> {
  options: z.ZodType<Options>;
  apply(x: tf.Tensor, options: Options): tf.Tensor;
  toOnnx(g: Graph, x: Value, options: Options): Value;
}

const plain = z.strictObject({});
const operator =
  (op: string, attributes: Record<string, Attribute> = {}) =>
  (g: Graph, x: Value) =>
    g.emit1(op, [x], x.shape, attributes);
const simple = (apply: (x: tf.Tensor) => tf.Tensor, toOnnx: (g: Graph, x: Value) => Value) => ({
  options: plain,
  apply,
  toOnnx,
});

const slope = z.strictObject({
  slope: z.number().min(-100).max(100).default(0.01).describe('slope below zero'),
});
const leakyRelu: Activation<z.infer<typeof slope>> = {
  options: slope,
  apply: (x, { slope }) => tf.leakyRelu(x, slope),
  toOnnx: (g, x, { slope }) => g.emit1('LeakyRelu', [x], x.shape, { alpha: { float: slope } }),
};

const line = z.strictObject({
  slope: z
    .number()
    .min(-100)
    .max(100)
    .default(1 / 6)
    .describe('slope between 0 and 1'),
  offset: z.number().min(-100).max(100).default(0.5).describe('value at 0'),
});
/** clip(slope · x + offset, 0, 1) */
const hardSigmoid: Activation<z.infer<typeof line>> = {
  options: line,
  apply: (x, { slope, offset }) => tf.div(tf.relu6(tf.mul(tf.add(tf.mul(x, slope), offset), 6)), 6),
  toOnnx: (g, x, { slope, offset }) =>
    g.emit1('HardSigmoid', [x], x.shape, { alpha: { float: slope }, beta: { float: offset } }),
};

/** x Φ(x), Φ the distribution function of a standard normal (Hendrycks & Gimpel 2016). */
const gelu = (x: tf.Tensor) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));

/** x · clip((x + 3) / 6, 0, 1) (Howard et al. 2019). */
const hardSwish = (x: tf.Tensor) => tf.mul(x, tf.div(tf.relu6(tf.add(x, 3)), 6));

const times =
  (op: string, attributes: Record<string, Attribute> = {}) =>
  (g: Graph, x: Value) =>
    g.emit1('Mul', [x, g.emit1(op, [x], x.shape, attributes)], x.shape);

const table = {
  relu: simple((x) => tf.relu(x), operator('Relu')),
  relu6: simple(
    (x) => tf.relu6(x),
    (g, x) => g.emit1('Clip', [x, g.uniform(0, []), g.uniform(6, [])], x.shape),
  ),
  gelu: simple(gelu, operator('Gelu')),
  silu: simple((x) => tf.mul(x, tf.sigmoid(x)), times('Sigmoid')),
  'hard-swish': simple(hardSwish, times('HardSigmoid', { alpha: { float: 1 / 6 }, beta: { float: 0.5 } })),
  elu: simple((x) => tf.elu(x), operator('Elu')),
  selu: simple((x) => tf.selu(x), operator('Selu')),
  softplus: simple((x) => tf.softplus(x), operator('Softplus')),
  tanh: simple((x) => tf.tanh(x), operator('Tanh')),
  sigmoid: simple((x) => tf.sigmoid(x), operator('Sigmoid')),
};

const activation = <Options>(
  kind: string,
  { options, apply, toOnnx }: Activation<Options>,
): LayerKind<Options> => ({
  kind,
  options,
  inputs: 'one',
  shape: (_, [input]) => input,
  apply: (layer, [x]) => ({ output: apply(x, layer.options) }),
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx: (g, layer, [x]) => toOnnx(g, x, layer.options),
});

export const activations = [
  activation('leaky-relu', leakyRelu),
  activation('hard-sigmoid', hardSigmoid),
  ...Object.entries(table).map(([kind, one]) => activation(kind, one)),
];
