// The deep weight prior: decoder and latent prior of a variational auto-encoder of kernels (Kingma & Welling 2014;
// as a prior of weights, Atanov et al. 2019, section 3). p(w) = ∫ p(w|z) p(z) dz with
// p(w|z) = N(w | μ(z), diag σ²(z)); r(z|w) is the encoder (15); p(z) is N(0, I) or made by the encoder (latent/).
import type { LatentDensity } from '../distributions/latent.js';
import { type DiagonalNormal, logDensity, reparameterise } from '../distributions/normal.js';
import { f32, foldIn, spec, tf } from '../engine/index.js';
import { type LatentMarginal, latentPriors } from './latent/index.js';
import { requirePositive, requireShapes } from './parameters.js';
import type { Arrays, KernelPrior, KernelSize, PriorFamily, Tensors } from './prior.js';
import { convolutionalNetworks } from './vae-convolutional.js';
import { denseNetworks } from './vae-dense.js';
import { type VaeConfig, type VaeNetworks, vaeConfig } from './vae-networks.js';

const networksOf = ({ networks }: VaeConfig): VaeNetworks =>
  networks === 'dense' ? denseNetworks : convolutionalNetworks;

/** Smallest standard deviation of a pixel given z, in units of the data's: keeps the density bounded. */
const LOG_STD_FLOOR = -4;
const floorLogStd = (x: tf.Tensor) => tf.add(tf.softplus(tf.sub(x, LOG_STD_FLOOR)), LOG_STD_FLOOR);

/** Networks see u = w / scale, so that they start well whatever the kernels' scale; densities are those of w. */
function latentDensity(
  parameters: Tensors,
  size: KernelSize,
  config: VaeConfig,
): LatentDensity & {
  decode(z: tf.Tensor): DiagonalNormal;
  latent: LatentMarginal;
} {
  const d = size.h * size.w;
  const networks = networksOf(config);
  const rows = (x: tf.Tensor) => tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D;
  const like = (x: tf.Tensor, reference: tf.Tensor) =>
    tf.reshape(x, [...reference.shape.slice(0, -1), x.shape[1]!]);
  const split = (x: tf.Tensor, size: number) => tf.split(x, [size, size], -1);
  const logScale = tf.log(parameters.scale);
  const decode = (z: tf.Tensor): DiagonalNormal => {
    const out = like(networks.decode(parameters, rows(z), size, config), z);
    const [mean, logStd] = config.variance === 'latent' ? split(out, d) : [out, parameters['decoder.logStd']];
    return { mean: tf.mul(mean, parameters.scale), logStd: tf.add(floorLogStd(logStd), logScale) };
  };
  const encode = (w: tf.Tensor): DiagonalNormal => {
    const u = tf.div(w, parameters.scale);
    const [mean, logStd] = split(like(networks.encode(parameters, rows(u), size, config), w), config.latent);
    return { mean, logStd: floorLogStd(logStd) };
  };
  const latent = latentPriors[config.latentPrior].of(parameters, encode);
  return {
    latentSize: config.latent,
    encode,
    decode,
    latent,
    logLikelihood: (w, z) => logDensity(w, decode(z)),
    logLatent: latent.logDensity,
  };
}

export const vae: PriorFamily<VaeConfig> = {
  name: 'vae',
  summary: 'deep weight prior: a variational auto-encoder of kernels',
  config: vaeConfig,
  fit: {
    kind: 'gradient',
    initial(kernels, config, key) {
      const scale = Math.sqrt(kernels.data.reduce((sum, x) => sum + x * x, 0) / kernels.data.length);
      const trainable = networksOf(config).initial(kernels, config, foldIn(key, 'networks'));
      const shared: Arrays =
        config.variance === 'shared' ? { 'decoder.logStd': f32([kernels.h * kernels.w]) } : {};
      const latent = latentPriors[config.latentPrior].initial(
        { ...kernels, size: kernels.h * kernels.w },
        config.components,
        foldIn(key, 'latent'),
      );
      return {
        trainable: { ...trainable, ...shared, ...latent.trainable },
        fixed: { ...latent.fixed, scale: f32([], Float32Array.of(scale)) },
        resampled: latent.resampled,
      };
    },
    noise: (batch, config) => ({ latent: spec([batch, config.latent]) }),
    // (16): E_r log p(w|z) − KL( r(z|w) ‖ p(z) ), the divergence in closed form where it has one
    bound(parameters, w, { latent }, size, config) {
      const density = latentDensity(parameters, size, config);
      const r = density.encode(w);
      const z = reparameterise(r, latent);
      return tf.add(density.logLikelihood(w, z), density.latent.negativeDivergence(r, z));
    },
  },
  prior(size, config, given): KernelPrior {
    const d = size.h * size.w;
    const networks = Object.entries(networksOf(config).initial(size, config, [0, 0, 0, 1]));
    const latent = latentPriors[config.latentPrior];
    const parameters = requireShapes(given, {
      ...Object.fromEntries(networks.map(([name, { shape }]) => [name, shape])),
      ...(config.variance === 'shared' && { 'decoder.logStd': [d] }),
      ...latent.shapes(given, d),
      scale: [],
    });
    requirePositive('scale', parameters.scale.data);
    return {
      family: 'vae',
      size,
      config,
      parameters,
      generateNoise: (n) => ({ ...latent.noise(n, config.latent), kernels: spec([n, d]) }),
      generate: (parameters, { kernels, ...noise }) => {
        const { decode, latent } = latentDensity(parameters, size, config);
        return reparameterise(decode(latent.sample(noise)), kernels);
      },
      density: {
        kind: 'latent',
        latentSize: config.latent,
        components: latent.components(parameters),
        encoder: networks.map(([name]) => name).filter((name) => name.startsWith('encoder.')),
        of: (parameters) => latentDensity(parameters, size, config),
      },
    };
  },
};
