// ResNet-20 for CIFAR (He et al. 2016, section 4.2): 3×3 convolutions, three stages of three blocks with 16, 32, 64
// channels, shortcuts without parameters, batch normalisation in training mode.
import { f32, tf } from '../../src/engine/index.js';
import { type Arrays, constantArray, heNormal, type Net, type Tensors } from './net.js';

interface Conv {
  name: string;
  inputs: number;
  outputs: number;
  stride: 1 | 2;
  /** Height and width of its output. */
  size: number;
}

const STEM: Conv = { name: 'stem', inputs: 3, outputs: 16, stride: 1, size: 32 };
/** Two convolutions each. */
const BLOCKS: [Conv, Conv][] = [16, 32, 64].flatMap((channels, stage) =>
  [0, 1, 2].map((block): [Conv, Conv] => {
    const narrows = stage > 0 && block === 0;
    const shared = { outputs: channels, size: 32 >> stage };
    return [
      {
        ...shared,
        name: `stage${stage}.block${block}.conv0`,
        inputs: narrows ? channels / 2 : channels,
        stride: narrows ? 2 : 1,
      },
      { ...shared, name: `stage${stage}.block${block}.conv1`, inputs: channels, stride: 1 },
    ];
  }),
);
const CONVOLUTIONS = [STEM, ...BLOCKS.flat()];
const MOMENTUM = 0.1;
const EPSILON = 1e-5;

const multiplyAddsOf = ({ inputs, outputs, size }: Conv) => 9 * inputs * outputs * size * size;

export const resnet20: Net = {
  name: 'resnet20',
  title: 'ResNet-20, batch 64',
  multiplyAdds: {
    all: CONVOLUTIONS.reduce((sum, conv) => sum + multiplyAddsOf(conv), 64 * 10),
    first: multiplyAddsOf(STEM),
  },
  running: Object.fromEntries(
    CONVOLUTIONS.flatMap(({ name, outputs }) => [
      [`${name}.mean`, f32([outputs])],
      [`${name}.variance`, constantArray([outputs], 1)],
    ]),
  ),
  parameters: (key): Arrays => ({
    ...Object.fromEntries(
      CONVOLUTIONS.flatMap(({ name, inputs, outputs }) => [
        [`${name}.kernel`, heNormal([3, 3, inputs, outputs], name, key)],
        [`${name}.scale`, constantArray([outputs], 1)],
        [`${name}.offset`, f32([outputs])],
      ]),
    ),
    'dense.kernel': heNormal([64, 10], 'dense', key),
    'dense.bias': f32([10]),
  }),
  forward(p, running, images) {
    const next: Record<string, tf.Tensor> = {};
    const convolve = (x: tf.Tensor, conv: Conv) => {
      const y = tf.conv2d(x as tf.Tensor4D, p[`${conv.name}.kernel`] as tf.Tensor4D, conv.stride, 1);
      return normalise(y, conv.name, p, running, next);
    };
    let x: tf.Tensor = tf.relu(convolve(images, STEM));
    for (const [first, second] of BLOCKS) {
      const y = convolve(tf.relu(convolve(x, first)), second);
      x = tf.relu(tf.add(y, shortcut(x as tf.Tensor4D, first)));
    }
    const features = tf.mean(x, [1, 2]) as tf.Tensor2D;
    const logits = tf.add(tf.matMul(features, p['dense.kernel'] as tf.Tensor2D), p['dense.bias']);
    return { logits: logits as tf.Tensor2D, running: next };
  },
};

/** Batch normalisation over [n, h, w]; the next running averages, of the unbiased variance, go into `next`. */
function normalise(
  x: tf.Tensor,
  name: string,
  p: Tensors,
  running: Tensors,
  next: Record<string, tf.Tensor>,
): tf.Tensor {
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  const count = x.size / x.shape[3]!;
  const follow = (average: tf.Tensor, value: tf.Tensor, factor: number) =>
    tf.add(tf.mul(average, 1 - MOMENTUM), tf.mul(value, MOMENTUM * factor));
  next[`${name}.mean`] = follow(running[`${name}.mean`], mean, 1);
  next[`${name}.variance`] = follow(running[`${name}.variance`], variance, count / (count - 1));
  const factor = tf.mul(p[`${name}.scale`], tf.rsqrt(tf.add(variance, EPSILON)));
  return tf.add(tf.mul(tf.sub(x, mean), factor), p[`${name}.offset`]);
}

/** The block's input itself; where the block narrows, every other pixel and zeros for the new channels. */
function shortcut(x: tf.Tensor4D, { inputs, outputs, stride }: Conv): tf.Tensor {
  if (stride === 1) return x;
  const extra = (outputs - inputs) / 2;
  return tf.pad(tf.avgPool(x, 1, 2, 'valid'), [
    [0, 0],
    [0, 0],
    [0, 0],
    [extra, extra],
  ]);
}
