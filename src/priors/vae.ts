// The deep weight prior: decoder and latent prior of a variational auto-encoder of kernels (Kingma & Welling 2014;
// as a prior of weights, Atanov et al. 2019, section 3). p(w) = ∫ p(w|z) p(z) dz, where p(w|z) is what the decoder
// says of pixels, or of the coordinates of a mixture (vae-observation.ts, vae-whitened.ts), r(z|w) is the encoder (15), and
// p(z) is N(0, I) or made by the encoder (latent/).
import type { LatentDensity } from '../distributions/latent.js';
import { type DiagonalNormal, reparameterise } from '../distributions/normal.js';
import { f32, foldIn, spec, tf } from '../engine/index.js';
import { type LatentMarginal, latentPriors } from './latent/index.js';
import { movable, movedShapes, unmoved } from './latent/moved.js';
import {
  checkComponents,
  componentCount,
  componentShapes,
  isOfMixture,
  mixtureNumbers,
} from './mixture/components.js';
import { fitStraightMixture } from './mixture/fit.js';
import { radialShape } from './mixture/radial.js';
import { requirePositive, requireShapes } from './parameters.js';
import {
  type Arrays,
  type KernelPrior,
  type KernelSize,
  kernelLength,
  numbersIn,
  type PriorFamily,
  type Tensors,
} from './prior.js';
import { convolutionalNetworks } from './vae-convolutional.js';
import { denseNetworks } from './vae-dense.js';
import { type VaeConfig, type VaeNetworks, vaeConfig } from './vae-networks.js';
import { type Observation, pixels } from './vae-observation.js';
import { gateParameters, whitened } from './vae-whitened.js';

const networksOf = ({ networks }: VaeConfig): VaeNetworks =>
  networks === 'dense' ? denseNetworks : convolutionalNetworks;
const observationOf = ({ whitening }: VaeConfig) => (whitening === 'mixture' ? whitened : pixels);

/** Smallest standard deviation given z, in units of the data's: keeps the density bounded. */
const LOG_STD_FLOOR = -4;
const floorLogStd = (x: tf.Tensor) => tf.add(tf.softplus(tf.sub(x, LOG_STD_FLOOR)), LOG_STD_FLOOR);

interface VaeDensity extends LatentDensity {
  observation: Observation;
  latent: LatentMarginal;
}

/** Networks see u = w / scale, so that they start well whatever the kernels' scale; densities are those of w. */
function latentDensity(parameters: Tensors, size: KernelSize, config: VaeConfig): VaeDensity {
  const networks = networksOf(config);
  const rows = (x: tf.Tensor) => tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D;
  const unflatten = (x: tf.Tensor, reference: tf.Tensor) =>
    tf.reshape(x, [...reference.shape.slice(0, -1), x.shape[1]!]);
  const decode = (z: tf.Tensor): DiagonalNormal => {
    const out = unflatten(networks.decode(parameters, rows(z), size, config), z);
    const [mean, logStd] =
      config.variance === 'latent' ? tf.split(out, 2, -1) : [out, parameters['decoder.logStd']];
    return { mean, logStd: floorLogStd(logStd) };
  };
  const observation = observationOf(config).of(parameters, size, config, decode);
  const encode = (w: tf.Tensor): DiagonalNormal => {
    const out = unflatten(networks.encode(parameters, rows(observation.seen(w)), size, config), w);
    const [mean, logStd] = tf.split(out, 2, -1);
    return { mean, logStd: floorLogStd(logStd) };
  };
  const latent = movable(latentPriors[config.latentPrior].of(parameters, encode), parameters);
  return {
    latentSize: config.latent,
    encode,
    observation,
    latent,
    logLikelihood: observation.logLikelihood,
    logLatent: latent.logDensity,
  };
}

/** The array `name` times a factor: how far from nothing a network starts. */
const damped = (arrays: Arrays, name: string, factor: number): Arrays => ({
  [name]: f32(
    arrays[name].shape,
    Float32Array.from(arrays[name].data, (x) => factor * x),
  ),
});

/** The decoder that models pixels directly. */
const PIXELS = { whitening: 'none' };

export const vae: PriorFamily<VaeConfig> = {
  name: 'vae',
  summary: 'variational auto-encoder of kernels: the deep weight prior',
  config: vaeConfig,
  // Folders that were written before there was a whitening have none.
  storedConfig: vaeConfig.extend({ whitening: vaeConfig.shape.whitening.unwrap().default('none') }),
  compared: [
    { name: 'vae-pixels', label: 'VAE of pixels', config: PIXELS },
    {
      name: 'vae-convolutional',
      label: 'VAE of pixels, convolutional',
      config: { ...PIXELS, networks: 'convolutional', hidden: 32 },
    },
    ...(['vamp', 'aggregate', 'hierarchical'] as const).map((latentPrior) => ({
      name: `vae-${latentPrior}`,
      label: `VAE of pixels, p(z) ${latentPrior}`,
      config: { ...PIXELS, latentPrior },
    })),
    { name: 'vae', label: 'VAE, default settings', config: {} },
  ],
  fit: {
    kind: 'gradient',
    startsFrom: ({ whitening }) => (whitening === 'mixture' ? 'the mixture' : undefined),
    async prepare(kernels, config, key, tick) {
      if (config.whitening === 'none') return {};
      const { members, tails } = config;
      return fitStraightMixture(
        { ...kernels, size: kernelLength(kernels) },
        { members, dof: tails },
        key,
        tick,
      );
    },
    initial(kernels, config, key, prepared = {}) {
      const scale = Math.sqrt(kernels.data.reduce((sum, x) => sum + x * x, 0) / kernels.data.length);
      const networks = networksOf(config);
      let trainable = networks.initial(kernels, config, foldIn(key, 'networks'));
      if (config.whitening === 'mixture') {
        const gate = gateParameters(config, prepared, foldIn(key, 'gate'));
        const { encoder, decoder } = networks.last(kernels, config);
        trainable = {
          ...trainable,
          ...damped(trainable, encoder, 0),
          ...damped(trainable, decoder, 0.05),
          ...gate,
          ...damped(gate, 'gate.out.kernel', 0.05),
        };
      }
      const shared: Arrays =
        config.variance === 'shared' ? { 'decoder.logStd': f32([kernelLength(kernels)]) } : {};
      const latent = latentPriors[config.latentPrior].initial(
        { ...kernels, size: kernelLength(kernels) },
        config.components,
        foldIn(key, 'latent'),
        config.latent,
      );
      return {
        trainable: { ...trainable, ...shared, ...latent.trainable },
        fixed: { ...prepared, ...latent.fixed, scale: f32([], Float32Array.of(scale)) },
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
    const d = kernelLength(size);
    const mixture = config.whitening === 'mixture';
    const networks = Object.entries({
      ...networksOf(config).initial(size, config, [0, 0, 0, 1]),
      ...(mixture && gateParameters(config, given, [0, 0, 0, 1])),
    });
    const latent = latentPriors[config.latentPrior];
    const parameters = requireShapes(given, {
      ...Object.fromEntries(networks.map(([name, { shape }]) => [name, shape])),
      ...(config.variance === 'shared' && { 'decoder.logStd': [d] }),
      ...latent.shapes(given, d, config.latent),
      ...(mixture && { ...componentShapes(given, d), ...radialShape(given) }),
      ...movedShapes(given, config.latent),
      scale: [],
    });
    requirePositive('scale', parameters.scale.data);
    if (mixture) checkComponents(parameters);
    return {
      family: 'vae',
      size,
      config,
      parameters,
      generateNoise: (n) => ({
        ...latent.noise(n, config.latent),
        ...observationOf(config).noise(n, size, config),
      }),
      generate: (parameters, noise) => {
        const { observation, latent } = latentDensity(parameters, size, config);
        return observation.sample(latent.sample(noise), noise);
      },
      density: {
        kind: 'latent',
        latentSize: config.latent,
        components: Math.max(latent.components(parameters), mixture ? componentCount(parameters) : 1),
        encoder: networks.map(([name]) => name).filter((name) => name.startsWith('encoder.')),
        of: (parameters) => latentDensity(parameters, size, config),
        ...(!mixture && {
          decode: (parameters, z) => latentDensity(parameters, size, config).observation.normal!(z),
        }),
      },
      adaptable: {
        latent: { names: Object.keys(unmoved(config.latent)), added: unmoved(config.latent) },
        decoder: { names: Object.keys(parameters).filter((name) => /^(decoder|gate)\./.test(name)) },
      },
    };
  },
  freeNumbers: (_, { whitening }, parameters) =>
    whitening === 'mixture'
      ? mixtureNumbers(parameters) + numbersIn(parameters, (name) => !isOfMixture(name))
      : numbersIn(parameters),
};
