// The CIFAR network of Atanov et al. 2019 (section 4.1) at width ¼: conv 7×7, max-pool 2, conv 5×5, conv 5×5, dense
// 512, dense 10; LeakyReLU between them, no padding.
import { f32, tf } from '../../src/engine/index.js';
import { type Arrays, heNormal, type Net } from './net.js';

const CONVOLUTIONS = [
  { name: 'conv1', shape: [7, 7, 3, 32], output: 26 },
  { name: 'conv2', shape: [5, 5, 32, 64], output: 9 },
  { name: 'conv3', shape: [5, 5, 64, 64], output: 5 },
] as const;
const DENSE = [
  { name: 'dense1', shape: [5 * 5 * 64, 512] },
  { name: 'dense2', shape: [512, 10] },
] as const;
const SLOPE = 0.01;

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const multiplyAdds = [
  ...CONVOLUTIONS.map(({ shape, output }) => output * output * product(shape)),
  ...DENSE.map(({ shape }) => product(shape)),
];

export const cifar: Net = {
  name: 'cifar',
  title: 'CIFAR network of the paper, width ¼, batch 64',
  running: {},
  multiplyAdds: { all: multiplyAdds.reduce((a, b) => a + b), first: multiplyAdds[0] },
  parameters: (key): Arrays =>
    Object.fromEntries(
      [...CONVOLUTIONS, ...DENSE].flatMap(({ name, shape }) => [
        [`${name}.kernel`, heNormal(shape, name, key)],
        [`${name}.bias`, f32([shape.at(-1)!])],
      ]),
    ),
  forward(p, running, images) {
    let x: tf.Tensor = images;
    for (const { name } of CONVOLUTIONS) {
      const y = tf.conv2d(x as tf.Tensor4D, p[`${name}.kernel`] as tf.Tensor4D, 1, 'valid');
      x = tf.leakyRelu(tf.add(y, p[`${name}.bias`]), SLOPE);
      if (name === 'conv1') x = tf.maxPool(x as tf.Tensor4D, 2, 2, 'valid');
    }
    const dense = (x: tf.Tensor, name: string) =>
      tf.add(tf.matMul(x as tf.Tensor2D, p[`${name}.kernel`] as tf.Tensor2D), p[`${name}.bias`]);
    const hidden = tf.leakyRelu(dense(tf.reshape(x, [images.shape[0], -1]), 'dense1'), SLOPE);
    return { logits: dense(hidden, 'dense2') as tf.Tensor2D, running };
  },
};
