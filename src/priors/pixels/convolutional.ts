// Convolutional encoder and decoder in the manner of Atanov et al. 2019 (appendix H.1): 3×3 convolutions without
// padding, ELU between them, down to one position that holds z; the decoder mirrors it with transposed convolutions.
import { f32, foldIn, type Key, RandomStream, tf } from '../../engine/index.js';
import type { Arrays, KernelSize } from '../prior.js';
import type { PixelConfig, PixelNetworks } from './networks.js';

interface Stage {
  /** Height and width of the stage's filter. */
  filter: [number, number];
  /** Channels on the side of the kernel, and on the side of z. */
  outer: number;
  inner: number;
  /** Height and width of the image on the side of the kernel. */
  size: [number, number];
}

/** 3×3 stages down to at most 3×3, then one filter of what is left. `outer` of the first stage is the kernel's channels. */
function stages({ h, w }: KernelSize, { hidden }: PixelConfig, last: number, first: number): Stage[] {
  const list: Stage[] = [];
  let size: [number, number] = [h, w];
  let outer = first;
  while (Math.min(...size) > 3) {
    const inner = hidden * Math.min(2, list.length + 1);
    list.push({ filter: [3, 3], outer, inner, size });
    size = [size[0] - 2, size[1] - 2];
    outer = inner;
  }
  if (list.length === 0) {
    list.push({ filter: [1, 1], outer, inner: hidden, size });
    outer = hidden;
  }
  list.push({ filter: size, outer, inner: last, size });
  return list;
}

function parametersOf(
  list: readonly Stage[],
  name: string,
  biasOf: (stage: Stage) => number,
  key: Key,
): Arrays {
  return Object.fromEntries(
    list.flatMap((stage, i) => {
      const { filter, outer, inner } = stage;
      const kernel = f32([...filter, outer, inner]);
      const std = Math.sqrt(2 / (filter[0] * filter[1] * (outer + inner)));
      new RandomStream(foldIn(key, i)).fillNormal(kernel.data);
      for (let j = 0; j < kernel.data.length; j++) kernel.data[j] *= std;
      return [
        [`${name}.${i}.kernel`, kernel],
        [`${name}.${i}.bias`, f32([biasOf(stage)])],
      ];
    }),
  );
}

const encoderStages = (size: KernelSize, config: PixelConfig) =>
  stages(size, config, 2 * config.latent, size.channels ?? 1);
const decoderStages = (size: KernelSize, config: PixelConfig) =>
  stages(size, config, config.latent, (config.variance === 'latent' ? 2 : 1) * (size.channels ?? 1));

export const convolutionalNetworks: PixelNetworks = {
  initial: (size, config, key) => ({
    ...parametersOf(encoderStages(size, config), 'encoder', (s) => s.inner, foldIn(key, 'encoder')),
    ...parametersOf(decoderStages(size, config), 'decoder', (s) => s.outer, foldIn(key, 'decoder')),
  }),
  encode(parameters, u, size, config) {
    const list = encoderStages(size, config);
    const { channels = 1, h, w } = size;
    const image = (
      channels === 1
        ? tf.reshape(u, [-1, h, w, 1])
        : tf.transpose(tf.reshape(u, [-1, channels, h, w]), [0, 2, 3, 1])
    ) as tf.Tensor4D;
    const out = list.reduce((x, _, i) => {
      const y = tf.conv2d(x, parameters[`encoder.${i}.kernel`] as tf.Tensor4D, 1, 'valid');
      const biased = tf.add(y, parameters[`encoder.${i}.bias`]) as tf.Tensor4D;
      return i < list.length - 1 ? tf.elu(biased) : biased;
    }, image);
    return tf.reshape(out, [-1, 2 * config.latent]) as tf.Tensor2D;
  },
  decode(parameters, z, size, config) {
    const list = decoderStages(size, config);
    const m = z.shape[0];
    const point = tf.reshape(z, [m, 1, 1, config.latent]) as tf.Tensor4D;
    const out = list.reduceRight((x, stage, i) => {
      const kernel = parameters[`decoder.${i}.kernel`] as tf.Tensor4D;
      const y = tf.conv2dTranspose(x, kernel, [m, ...stage.size, stage.outer], 1, 'valid');
      const biased = tf.add(y, parameters[`decoder.${i}.bias`]) as tf.Tensor4D;
      return i > 0 ? tf.elu(biased) : biased;
    }, point);
    // [m, h, w, c] → all means, then all log standard deviations
    return tf.reshape(tf.transpose(out, [0, 3, 1, 2]), [m, -1]) as tf.Tensor2D;
  },
};
