// A network of every kind of layer with weights that is compiled quickly, with a prior of any family.
import type { Model } from '../../src/bounds/elbo.js';
import type { ImageSet } from '../../src/data/index.js';
import { f32, foldIn, type NdArray, RandomStream, seedKey } from '../../src/engine/index.js';
import {
  buildArchitecture,
  convLayers,
  randomLayers,
  weightShape,
  withRandomDense,
  xavier,
} from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { noiseOf } from '../../src/priors/density-estimate/noise.js';
import { families, type KernelPrior, type KernelSize } from '../../src/priors/index.js';
import { storedEstimate } from '../../src/priors/kernel-density.js';
import { storedComponents } from '../../src/priors/mixture/components.js';
import { expectationMaximisation } from '../../src/priors/mixture/em.js';
import { startOf, vae } from '../../src/priors/vae.js';
import { auxiliaryParameters } from '../../src/train/auxiliary.js';
import { initialState, type NetworkOptions, type TrainingState } from '../../src/train/train-network.js';

const COUNT = 12;
export const allRows = Int32Array.from({ length: COUNT }, (_, i) => i);

export const images: ImageSet = {
  images: Uint8Array.from({ length: COUNT * 32 }, (_, i) => (i * 67 + (i % 7) * 20) % 256),
  labels: Int32Array.from({ length: COUNT }, (_, i) => i % 3),
  count: COUNT,
  height: 4,
  width: 4,
  channels: 2,
  classes: 3,
};

/** A convolution and a dense layer, both with random weights. */
export const architecture = withRandomDense(
  buildArchitecture('small', { height: 4, width: 4, channels: 2 }, 3, [
    { kind: 'conv', channels: 3, kernel: 3, padding: 'same' },
    { kind: 'leaky-relu', slope: 0.01 },
    { kind: 'max-pool', size: 2 },
    { kind: 'flatten' },
    { kind: 'dense', units: 3 },
  ]),
);

/** A prior of the family, fitted to normal kernels where it has a closed form, at its start where it is learned. */
export function priorOf(family: string, size: KernelSize): KernelPrior {
  const d = size.h * size.w;
  const count = 200;
  const data = new RandomStream(seedKey(401)).fillNormal(new Float32Array(count * d)).map((x) => 0.3 * x);
  const { config, fit, prior } = families.get(family)!;
  const settings = config.parse(family === 'mixture' ? { straighten: false } : {});
  const kernels = { ...size, data, count };
  const dof = family === 'student-t' ? 5 : Number.POSITIVE_INFINITY;
  const em = { components: family === 'student-t' ? 1 : 2, dof, shrinkage: 5, ridge: 0, iterations: 3 };
  const mixture = () => expectationMaximisation({ data, count, size: d }, em, new RandomStream(seedKey(403)));
  if (family === 'kernel-density') {
    const noise = noiseOf('correlated', { data: Float64Array.from(data), count, size: d });
    return prior(size, settings, storedEstimate({ noise, local: 'norm', width: 0.3 }));
  }
  if (fit.kind === 'iterative') {
    const components = mixture();
    return prior(size, settings, { ...storedComponents(components), dof: f32([], Float32Array.of(5)) });
  }
  if (fit.kind === 'closed-form') return prior(size, settings, fit.parameters(kernels, settings));
  const identity = f32([2, 2], Float32Array.of(0, 1, 0, 1));
  const prepared =
    family === 'vae' ? startOf(mixture(), identity, vae.config.parse({}), seedKey(404)) : undefined;
  const { trainable, fixed } = fit.initial(kernels, settings, seedKey(402), prepared);
  return prior(size, settings, { ...trainable, ...fixed });
}

export interface SmallOptions extends Partial<Omit<Model, 'posterior' | 'priors'>> {
  posterior: string;
  family: string;
}

export function smallModel({ posterior, family, ...rest }: SmallOptions): Model {
  const [ordinary, single] = [priorOf(family, { h: 3, w: 3 }), priorOf(family, { h: 1, w: 1 })];
  return {
    architecture,
    posterior: posteriors[posterior],
    estimator: 'weight-samples',
    priors: Object.fromEntries(
      randomLayers(architecture).map((layer) => [
        layer.name,
        weightShape(layer)[2] === 3 ? ordinary : single,
      ]),
    ),
    examples: COUNT,
    kernelSubsample: 4,
    ...rest,
  };
}

export function smallState(model: Model): TrainingState {
  const key = seedKey(403);
  const weights: Record<string, NdArray> = Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, xavier(layer, foldIn(key, 'weights'))]),
  );
  return initialState({
    architecture,
    posterior: model.posterior,
    weights,
    logStd: -2,
    key,
    auxiliary: auxiliaryParameters(model),
  });
}

export const options: NetworkOptions = {
  steps: 1,
  batch: 4,
  learningRate: 0.01,
  temperature: 1,
  warmUp: 0,
  weightDecay: 0,
  denseDecay: 0,
  logEvery: 1,
};
