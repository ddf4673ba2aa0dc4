// The deep weight prior as it was published: decoder and latent prior of a variational auto-encoder of kernels (Kingma &
// Welling 2014; as a prior of weights, Atanov et al. 2019, section 3). p(w) = ∫ p(w|z) p(z) dz, where p(w|z) is a diagonal
// normal over pixels, r(z|w) is the encoder (15), and p(z) is N(0, I) or made by the encoder (latent/).
import type { LatentDensity } from '../distributions/latent.js';
import { type DiagonalNormal, logDensity, reparameterise } from '../distributions/normal.js';
import { f32, foldIn, spec, tf } from '../engine/index.js';
import { type LatentMarginal, latentPriors } from './latent/index.js';
import { isMoved, movable, movedShapes, unmoved } from './latent/moved.js';
import { requirePositive, requireShapes } from './parameters.js';
import { convolutionalNetworks } from './pixels/convolutional.js';
import { denseNetworks } from './pixels/dense.js';
import { type PixelConfig, type PixelNetworks, pixelConfig } from './pixels/networks.js';
import {
  type Arrays,
  type KernelPrior,
  type KernelSize,
  kernelLength,
  type PriorFamily,
  type Tensors,
} from './prior.js';

const networksOf = ({ networks }: PixelConfig): PixelNetworks =>
  networks === 'dense' ? denseNetworks : convolutionalNetworks;

/** Smallest standard deviation given z, in units of the data's: keeps the density bounded. */
const LOG_STD_FLOOR = -4;
const floorLogStd = (x: tf.Tensor) => tf.add(tf.softplus(tf.sub(x, LOG_STD_FLOOR)), LOG_STD_FLOOR);

interface PixelDensity extends LatentDensity {
  /** p(w|z): z [.., l] → [.., d]. */
  decode(z: tf.Tensor): DiagonalNormal;
  latent: LatentMarginal;
}

/** Networks see u = w / c, c = `scale`, so that they start well whatever the kernels' scale; densities are those of w. */
function pixelDensity(parameters: Tensors, size: KernelSize, config: PixelConfig): PixelDensity {
  const networks = networksOf(config);
  const { scale } = parameters;
  const rows = (x: tf.Tensor) => tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D;
  const unflatten = (x: tf.Tensor, reference: tf.Tensor) =>
    tf.reshape(x, [...reference.shape.slice(0, -1), x.shape[1]!]);
  // N( w | c μ(z), c² diag σ²(z) )
  const decode = (z: tf.Tensor): DiagonalNormal => {
    const out = unflatten(networks.decode(parameters, rows(z), size, config), z);
    const [mean, logStd] =
      config.variance === 'latent' ? tf.split(out, 2, -1) : [out, parameters['decoder.logStd']];
    return { mean: tf.mul(mean, scale), logStd: tf.add(floorLogStd(logStd), tf.log(scale)) };
  };
  const encode = (w: tf.Tensor): DiagonalNormal => {
    const out = unflatten(networks.encode(parameters, rows(tf.div(w, scale)), size, config), w);
    const [mean, logStd] = tf.split(out, 2, -1);
    return { mean, logStd: floorLogStd(logStd) };
  };
  const latent = movable(latentPriors[config.latentPrior].of(parameters, encode), parameters);
  return {
    latentSize: config.latent,
    encode,
    decode,
    latent,
    logLikelihood: (w, z) => logDensity(w, decode(z)),
    logLatent: latent.logDensity,
  };
}

export const vaePixels: PriorFamily<PixelConfig> = {
  name: 'vae-pixels',
  summary: 'variational auto-encoder with a diagonal normal over pixels, as published',
  config: pixelConfig,
  compared: [
    { name: 'vae-pixels', label: 'VAE of pixels', config: {} },
    {
      name: 'vae-convolutional',
      label: 'VAE of pixels, convolutional',
      config: { networks: 'convolutional', hidden: 32 },
    },
    ...(['vamp', 'aggregate', 'hierarchical'] as const).map((latentPrior) => ({
      name: `vae-${latentPrior}`,
      label: `VAE of pixels, p(z) ${latentPrior}`,
      config: { latentPrior },
    })),
  ],
  fit: {
    kind: 'gradient',
    initial(kernels, config, key) {
      const scale = Math.sqrt(kernels.data.reduce((sum, x) => sum + x * x, 0) / kernels.data.length);
      const shared: Arrays =
        config.variance === 'shared' ? { 'decoder.logStd': f32([kernelLength(kernels)]) } : {};
      const latent = latentPriors[config.latentPrior].initial(
        { ...kernels, size: kernelLength(kernels) },
        config.components,
        foldIn(key, 'latent'),
        config.latent,
      );
      return {
        trainable: {
          ...networksOf(config).initial(kernels, config, foldIn(key, 'networks')),
          ...shared,
          ...latent.trainable,
        },
        fixed: { ...latent.fixed, scale: f32([], Float32Array.of(scale)) },
        resampled: latent.resampled,
      };
    },
    noise: (batch, config) => ({ latent: spec([batch, config.latent]) }),
    // (16): E_r log p(w|z) − KL( r(z|w) ‖ p(z) ), the divergence in closed form where it has one
    bound(parameters, w, { latent }, size, config) {
      const density = pixelDensity(parameters, size, config);
      const r = density.encode(w);
      const z = reparameterise(r, latent);
      return tf.add(density.logLikelihood(w, z), density.latent.negativeDivergence(r, z));
    },
  },
  prior(size, config, given): KernelPrior {
    const d = kernelLength(size);
    const networks = Object.entries(networksOf(config).initial(size, config, [0, 0, 0, 1]));
    const latent = latentPriors[config.latentPrior];
    const parameters = requireShapes(given, {
      ...Object.fromEntries(networks.map(([name, { shape }]) => [name, shape])),
      ...(config.variance === 'shared' && { 'decoder.logStd': [d] }),
      ...latent.shapes(given, d, config.latent),
      ...movedShapes(given, config.latent),
      scale: [],
    });
    requirePositive('scale', parameters.scale.data);
    return {
      family: 'vae-pixels',
      size,
      config,
      parameters,
      generateNoise: (n) => ({ ...latent.noise(n, config.latent), kernels: spec([n, d]) }),
      generate(parameters, noise) {
        const { decode, latent } = pixelDensity(parameters, size, config);
        return reparameterise(decode(latent.sample(noise)), noise.kernels);
      },
      density: {
        kind: 'latent',
        latentSize: config.latent,
        isStandard: config.latentPrior === 'standard' && !isMoved(parameters),
        components: latent.components(parameters),
        encoder: networks.map(([name]) => name).filter((name) => name.startsWith('encoder.')),
        of: (parameters) => pixelDensity(parameters, size, config),
        decode: (parameters, z) => pixelDensity(parameters, size, config).decode(z),
      },
      adaptable: {
        latent: { names: Object.keys(unmoved(config.latent)), added: unmoved(config.latent) },
        decoder: { names: Object.keys(parameters).filter((name) => name.startsWith('decoder.')) },
      },
    };
  },
};
