// A training problem that takes milliseconds: LeNet of 2 and 3 channels on 20×20 images of three classes, with a
// kernel VAE of random weights as prior.
import type { Model } from '../../src/bounds/elbo.js';
import type { BoundSettings } from '../../src/bounds/settings.js';
import type { ImageSet } from '../../src/data/index.js';
import { foldIn, type NdArray, RandomStream, seedKey } from '../../src/engine/index.js';
import { convLayers, namedArchitecture, weightShape, xavier } from '../../src/network/index.js';
import { type Estimator, posteriors } from '../../src/posteriors/index.js';
import type { Arrays } from '../../src/priors/index.js';
import {
  isotropicNormal,
  type KernelPrior,
  type KernelSize,
  type TrainingKernels,
} from '../../src/priors/index.js';
import type { PixelConfig } from '../../src/priors/pixels/networks.js';
import { vaePixels } from '../../src/priors/vae-pixels.js';
import { initialState, type NetworkOptions, type TrainingState } from '../../src/train/train-network.js';

const COUNT = 18;
export const CLASSES = 3;

/** Noise with a bright block whose place is the class. */
export const tinyImages: ImageSet = (() => {
  const stream = new RandomStream(seedKey(80));
  const labels = Int32Array.from({ length: COUNT }, (_, i) => i % CLASSES);
  const images = Uint8Array.from({ length: COUNT * 400 }, (_, p) => {
    const row = Math.floor((p % 400) / 20);
    return stream.integer(100) + (Math.floor(row / 7) === labels[Math.floor(p / 400)] ? 120 : 0);
  });
  return { images, labels, count: COUNT, height: 20, width: 20, channels: 1, classes: CLASSES };
})();

export const allRows = Int32Array.from({ length: COUNT }, (_, i) => i);

/** A fitted-looking VAE: random networks, for kernels of standard deviation about 0.2. */
export function randomVae(size: KernelSize, config: Partial<PixelConfig> = {}, seed = 81): KernelPrior {
  const whole = vaePixels.config.parse({ latent: 2, hidden: 6, ...config });
  const d = size.h * size.w;
  const data = new RandomStream(seedKey(seed)).fillNormal(new Float32Array(50 * d)).map((x) => 0.2 * x);
  const kernels: TrainingKernels = { ...size, data, count: 50 };
  if (vaePixels.fit.kind !== 'gradient') throw new Error('learned by gradients');
  const { trainable, fixed } = vaePixels.fit.initial(kernels, whole, seedKey(seed));
  return vaePixels.prior(size, whole, { ...trainable, ...fixed });
}

export interface TinyOptions {
  prior?: 'vae-pixels' | 'normal' | 'none';
  estimator?: Estimator;
  kernelSubsample?: number;
  examples?: number;
  posterior?: 'mean-field' | 'semi-implicit';
  bound?: BoundSettings;
}

export function tinyModel({
  prior = 'vae-pixels',
  estimator = 'weight-samples',
  kernelSubsample = 2,
  examples = COUNT,
  posterior = 'mean-field',
  bound,
}: TinyOptions = {}): Model {
  const architecture = namedArchitecture('lenet', { height: 20, width: 20, channels: 1 }, CLASSES, [2, 3]);
  const priorOf = (h: number, w: number): KernelPrior =>
    prior === 'vae-pixels' ? randomVae({ h, w }) : isotropicNormal({ h, w }, {}, 0.5);
  return {
    architecture,
    posterior: posteriors[prior === 'none' ? 'point' : posterior],
    estimator,
    priors:
      prior === 'none'
        ? {}
        : Object.fromEntries(
            convLayers(architecture).map((layer) => {
              const [, , h, w] = weightShape(layer);
              return [layer.name, priorOf(h, w)];
            }),
          ),
    examples,
    kernelSubsample,
    ...(bound && { bound }),
  };
}

export function tinyState(model: Model, logStd = -2, auxiliary: Arrays = {}): TrainingState {
  const { architecture, posterior } = model;
  const key = seedKey(82);
  const weights: Record<string, NdArray> = Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, xavier(layer, foldIn(key, 'weights'))]),
  );
  return initialState({ architecture, posterior, weights, logStd, key: foldIn(key, 'dense'), auxiliary });
}

export const tinyOptions: NetworkOptions = {
  steps: 3,
  batch: 6,
  learningRate: 0.01,
  temperature: 1,
  warmUp: 0,
  weightDecay: 0,
  denseDecay: 0.1,
  logEvery: 1,
};

/** The same bounds, with chains of uivi that are compiled quickly. */
export const quickChains = (bound: BoundSettings): BoundSettings =>
  bound.chain ? { ...bound, chain: { ...bound.chain, away: 1, kept: 1, leapfrog: 2 } } : bound;
