// A variational auto-encoder of binary images, with any latent prior of latent/: the same density as that of kernels
// (vae.ts) with Bernoulli pixels in the place of normal weights. Networks as in Tomczak & Welling 2018: two hidden
// layers of gated units, h = (Ax + b) ⊙ σ(Cx + d), on either side.
import { z } from 'zod';
import { binarise, logBernoulli } from '../distributions/bernoulli.js';
import type { LatentDensity } from '../distributions/latent.js';
import { type DiagonalNormal, reparameterise } from '../distributions/normal.js';
import { foldIn, type Key, spec, tf } from '../engine/index.js';
import { dense, denseParameters } from './dense-stack.js';
import { wholeNumber } from './fields.js';
import { LATENT_PRIORS, type LatentMarginal, latentPriors } from './latent/index.js';
import { requireShapes } from './parameters.js';
import { type Arrays, kernelLength, type PriorFamily, type Tensors } from './prior.js';

export const imageVaeConfig = z.object({
  latent: wholeNumber(1, 256).default(40).describe('dimension of the latent variable z'),
  hidden: wholeNumber(1, 4096).default(300).describe('number of gated units in each hidden layer'),
  latentPrior: z.enum(LATENT_PRIORS).default('standard').describe('latent prior p(z)'),
  components: wholeNumber(1, 50_000).default(500).describe('number of normals of p(z) in a step'),
});
export type ImageVaeConfig = z.infer<typeof imageVaeConfig>;

export interface ImageDensity extends LatentDensity {
  /** Logits of the pixels: [.., l] → [.., d]. */
  decode(z: tf.Tensor): tf.Tensor;
  latent: LatentMarginal;
}

const gated = (parameters: Tensors, name: string, x: tf.Tensor2D): tf.Tensor2D => {
  const [values, gates] = tf.split(dense(parameters, name, x), 2, 1);
  return tf.mul(values, tf.sigmoid(gates));
};

function network(parameters: Tensors, name: string, x: tf.Tensor): tf.Tensor {
  const rows = tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D;
  const hidden = gated(parameters, `${name}.1`, gated(parameters, `${name}.0`, rows));
  const out = dense(parameters, `${name}.out`, hidden);
  return tf.reshape(out, [...x.shape.slice(0, -1), out.shape[1]]);
}

const networkParameters = (
  name: string,
  inputs: number,
  hidden: number,
  outputs: number,
  key: Key,
): Arrays => ({
  ...denseParameters(`${name}.0`, inputs, 2 * hidden, key),
  ...denseParameters(`${name}.1`, hidden, 2 * hidden, key),
  ...denseParameters(`${name}.out`, hidden, outputs, key),
});

const networks = (d: number, { latent, hidden }: ImageVaeConfig, key: Key): Arrays => ({
  ...networkParameters('encoder', d, hidden, 2 * latent, foldIn(key, 'encoder')),
  ...networkParameters('decoder', latent, hidden, d, foldIn(key, 'decoder')),
});

/** Log standard deviations in (−3, 1): log variances in (−6, 2), as published. */
const bounded = (x: tf.Tensor): tf.Tensor => tf.sub(tf.mul(tf.tanh(tf.mul(x, 0.5)), 2), 1);

export function imageDensity(parameters: Tensors, config: ImageVaeConfig): ImageDensity {
  const encode = (x: tf.Tensor): DiagonalNormal => {
    const [mean, logStd] = tf.split(network(parameters, 'encoder', x), 2, -1);
    return { mean, logStd: bounded(logStd) };
  };
  const decode = (z: tf.Tensor) => network(parameters, 'decoder', z);
  const latent = latentPriors[config.latentPrior].of(parameters, encode);
  return {
    latentSize: config.latent,
    encode,
    decode,
    latent,
    logLikelihood: (x, z) => logBernoulli(x, decode(z)),
    logLatent: latent.logDensity,
  };
}

/** Rows are images [h·w] with values in [0, 1]: binary, or grey and then binarised anew in every step (60). */
export const imageVae: PriorFamily<ImageVaeConfig> = {
  name: 'image-vae',
  summary: 'a variational auto-encoder of binary images',
  config: imageVaeConfig,
  fit: {
    kind: 'gradient',
    initial(images, config, key) {
      const size = images.h * images.w;
      const latent = latentPriors[config.latentPrior].initial(
        { ...images, size },
        config.components,
        foldIn(key, 'latent'),
        config.latent,
      );
      return {
        trainable: { ...networks(size, config, foldIn(key, 'networks')), ...latent.trainable },
        fixed: latent.fixed,
        resampled: latent.resampled,
      };
    },
    noise: (batch, config, { h, w }) => ({
      latent: spec([batch, config.latent]),
      pixels: spec([batch, h * w]),
    }),
    // (16) of binarised images: E_r log p(x|z) − KL( r(z|x) ‖ p(z) )
    bound(parameters, grey, { latent, pixels }, _, config) {
      const density = imageDensity(parameters, config);
      const x = binarise(grey, pixels);
      const r = density.encode(x);
      const z = reparameterise(r, latent);
      return tf.add(density.logLikelihood(x, z), density.latent.negativeDivergence(r, z));
    },
  },
  prior(size, config, given) {
    const d = kernelLength(size);
    const { noise, shapes, components } = latentPriors[config.latentPrior];
    const networkArrays = Object.entries(networks(d, config, [0, 0, 0, 1]));
    const parameters = requireShapes(given, {
      ...Object.fromEntries(networkArrays.map(([name, { shape }]) => [name, shape])),
      ...shapes(given, d, config.latent),
    });
    return {
      family: 'image-vae',
      size,
      config,
      parameters,
      generateNoise: (n) => ({ ...noise(n, config.latent), pixels: spec([n, d]) }),
      generate: (parameters, { pixels, ...noise }) => {
        const { decode, latent } = imageDensity(parameters, config);
        return binarise(tf.sigmoid(decode(latent.sample(noise))), pixels);
      },
      density: {
        kind: 'latent',
        latentSize: config.latent,
        components: components(parameters),
        encoder: networkArrays.map(([name]) => name).filter((name) => name.startsWith('encoder.')),
        of: (parameters) => imageDensity(parameters, config),
      },
    };
  },
};
