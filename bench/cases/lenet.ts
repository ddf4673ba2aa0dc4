// The Bayesian LeNet 32/128 as `dwp train --estimator local-reparameterisation` trains it, all kernels in the prior
// term: images gathered, noise drawn, objective, gradients and Adam.
import type { Model } from '../../src/bounds/elbo.js';
import type { ImageSet } from '../../src/data/index.js';
import { type Engine, foldIn, RandomStream, seedKey } from '../../src/engine/index.js';
import { DwpError } from '../../src/errors.js';
import type { ReadonlyTensors } from '../../src/formats/safetensors.js';
import { readKernelDataset } from '../../src/kernels/index.js';
import {
  convLayers,
  denseLayers,
  kernelCount,
  kindOf,
  namedArchitecture,
  weightShape,
  xavier,
} from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { families, type KernelPrior } from '../../src/priors/index.js';
import {
  initialState,
  type NetworkOptions,
  type TracePoint,
  trainNetwork,
} from '../../src/train/train-network.js';
import { type Case, COMPARED_STEPS, type Prepared, WARM_UP } from '../case.js';
import { now } from '../clock.js';
import { KERNELS } from '../paths.js';
import { type Inputs, prefixed, recordingEngine, under } from '../record.js';

const EXAMPLES = 1000;
const LEARNING_RATE = 1e-3;
const KEY = seedKey(1);
const architecture = namedArchitecture('lenet', { height: 28, width: 28, channels: 1 }, 10);

/** Full-covariance Gaussians of the shipped kernels, or VAEs with their first weights: cost does not depend on values. */
function priorOf(family: 'gaussian' | 'vae-pixels', size: string): KernelPrior {
  const { train } = readKernelDataset(KERNELS, size);
  const { config, fit, prior } = families.get(family)!;
  const settings = config.parse({});
  if (fit.kind === 'iterative') throw new Error(`${family} is fitted step by step`);
  if (fit.kind === 'closed-form') return prior(train, settings, fit.parameters(train, settings));
  const { trainable, fixed } = fit.initial(train, settings, foldIn(KEY, size));
  return prior(train, settings, { ...trainable, ...fixed });
}

function modelOf(family: 'gaussian' | 'vae-pixels'): Model {
  const priors = convLayers(architecture).map((layer): [string, KernelPrior] => [
    layer.name,
    priorOf(family, weightShape(layer).slice(2).join('x')),
  ]);
  return {
    architecture,
    posterior: posteriors['mean-field'],
    estimator: 'local-reparameterisation',
    priors: Object.fromEntries(priors),
    examples: EXAMPLES,
    kernelSubsample: Number.POSITIVE_INFINITY,
  };
}

function randomImages(): ImageSet {
  const stream = new RandomStream(foldIn(KEY, 'images'));
  const images = Uint8Array.from({ length: EXAMPLES * 28 * 28 }, () => stream.integer(256));
  const labels = Uint8Array.from({ length: EXAMPLES }, () => stream.integer(10));
  return { images, labels, count: EXAMPLES, height: 28, width: 28, channels: 1, classes: 10 };
}

const optionsFor = (batch: number, steps: number): NetworkOptions => ({
  steps,
  batch,
  learningRate: LEARNING_RATE,
  temperature: 1,
  warmUp: 0,
  weightDecay: 0,
  denseDecay: 0,
  logEvery: 1,
});

/** Latent noise [1, n, latent] as [n, latent]: the bound has an axis of draws of z, one here, and the peers have none. */
const withoutDraws = (noise: Inputs): Inputs =>
  Object.fromEntries(
    Object.entries(noise).map(([name, { shape, data }]) => [
      name,
      { shape: name.endsWith('.latent') ? shape.slice(1) : shape, data },
    ]),
  );

/** So many steps that the learning rate does not fall while anything is compared or timed. */
const ENDLESS = 1e8;

async function prepare(family: 'gaussian' | 'vae-pixels', batch: number, engine: Engine): Promise<Prepared> {
  const model = modelOf(family);
  const images = randomImages();
  const rows = Int32Array.from({ length: EXAMPLES }, (_, i) => i);
  const weights = Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, xavier(layer, KEY)]),
  );
  const initial = initialState({ architecture, posterior: model.posterior, weights, logStd: -5, key: KEY });
  let state = initial;

  /** Trains for `steps` from where the last call stopped. */
  async function train(
    steps: number,
    on: Engine,
    stepped: (done: number) => void,
    points: TracePoint[] = [],
  ) {
    const stop = new AbortController();
    const start = state.step;
    const hooks = {
      signal: stop.signal,
      trace: (point: TracePoint) => points.push(point),
      stepped(next: typeof state) {
        state = next;
        stepped(next.step - start);
        if (next.step - start === steps) stop.abort();
      },
    };
    try {
      await trainNetwork(
        { model, images, rows, options: optionsFor(batch, ENDLESS), engine: on, key: KEY, state },
        hooks,
      );
    } catch (error) {
      if (!(error instanceof DwpError && error.code === 'INTERRUPTED')) throw error;
    }
  }

  const { engine: recorder, recording } = recordingEngine(engine);
  const points: TracePoint[] = [];
  await train(COMPARED_STEPS, recorder, () => {}, points);
  const tensors: Inputs = {
    ...prefixed('parameters', initial.parameters),
    ...prefixed('prior', recording.constants),
  };
  for (const [i, inputs] of recording.runs.entries()) {
    tensors[`images.${i}`] = inputs.images;
    tensors[`labels.${i}`] = inputs.labels;
    Object.assign(tensors, prefixed(`noise.${i}`, withoutDraws(under(inputs, 'noise'))));
  }
  return {
    reference: {
      tensors: tensors as ReadonlyTensors,
      settings: { family, steps: COMPARED_STEPS, examples: EXAMPLES, learningRate: LEARNING_RATE },
      losses: points.map((p) => [p.expectedLogLikelihood, p.priorTerm, p.entropyTerm]),
    },
    async time(units) {
      let started = 0;
      let ended = 0;
      await train(WARM_UP + units, engine, (done) => {
        if (done === WARM_UP) started = now();
        if (done === WARM_UP + units) ended = now();
      });
      return (ended - started) / units;
    },
    release: async () => {},
  };
}

/** Multiply-adds of a step: each convolution for mean and variance, forward and both gradients (one for images). */
function gflop(family: 'gaussian' | 'vae-pixels', batch: number): number {
  let multiplyAdds = 0;
  for (const [i, layer] of convLayers(architecture).entries())
    multiplyAdds += batch * kindOf(layer).multiplyAdds(layer) * 2 * (i === 0 ? 2 : 3);
  for (const layer of denseLayers(architecture))
    multiplyAdds += batch * kindOf(layer).multiplyAdds(layer) * 3;
  for (const layer of convLayers(architecture)) {
    const [, , h, w] = weightShape(layer);
    const d = h * w;
    // VAE: encoder and decoder, forward and the gradient of their inputs, their weights being fixed.
    const vae = 2 * (d * 128 + 128 * 128 + 128 * 32 + 16 * 128 + 128 * 128 + 128 * 2 * d);
    multiplyAdds += kernelCount(layer) * (family === 'vae-pixels' ? vae : 2 * d * d);
  }
  return (2 * multiplyAdds) / 1e9;
}

export const lenetCases: Case[] = (['gaussian', 'vae-pixels'] as const).flatMap((family) =>
  [50, 256].map(
    (batch): Case => ({
      name: `lenet-${family}-${batch}`,
      title: `Bayesian LeNet 32/128, ${family === 'vae-pixels' ? 'MLP VAE' : 'Gaussian'} prior, batch ${batch}`,
      unit: 'step',
      peer: 'lenet',
      gflop: gflop(family, batch),
      target: 0.8,
      prepare: (engine) => prepare(family, batch, engine),
    }),
  ),
);
