// Fitting the kernel VAE as `dwp fit-prior` does it: shuffled mini-batches, noise, ELBO, gradients and Adam. An epoch
// is 32 steps of 128 kernels. Only one kernel is set aside, so that validation, which peers do not do, costs nothing.
import { type Engine, foldIn, seedKey } from '../../src/engine/index.js';
import { readKernelDataset, takeKernels } from '../../src/kernels/index.js';
import { families } from '../../src/priors/index.js';
import { fitPrior } from '../../src/train/fit-prior.js';
import { type Case, COMPARED_STEPS, type Prepared, WARM_UP } from '../case.js';
import { now } from '../clock.js';
import { KERNELS } from '../paths.js';
import { type Inputs, prefixed, recordingEngine } from '../record.js';

const BATCH = 128;
const STEPS_PER_EPOCH = 32;
const COUNT = BATCH * STEPS_PER_EPOCH;
const D = 25;
const HIDDEN = 128;
const LATENT = 16;
const LEARNING_RATE = 2e-3;
const KEY = seedKey(1);

async function prepare(scan: boolean, engine: Engine): Promise<Prepared> {
  const all = readKernelDataset(KERNELS, '5x5').train;
  const kernels = takeKernels(
    all,
    Array.from({ length: COUNT + 1 }, (_, i) => i),
  );
  const config = families.get('vae-pixels')!.config.parse({ latent: LATENT, hidden: HIDDEN });
  const options = {
    batch: BATCH,
    learningRate: LEARNING_RATE,
    validationFraction: 0,
    patience: Number.POSITIVE_INFINITY,
  };

  const { engine: recorder, recording } = recordingEngine(engine);
  // Twice as many steps as are compared: the learning rate falls in the second half.
  const steps = 2 * COMPARED_STEPS;
  const { report } = await fitPrior({
    family: families.get('vae-pixels')!,
    kernels,
    config,
    options: { ...options, steps, validateEvery: 1 },
    engine: recorder,
    key: KEY,
  });
  const { fit } = families.get('vae-pixels')!;
  if (fit.kind !== 'gradient') throw new Error('the VAE is learned by gradients');
  const { trainable } = fit.initial(kernels, config, foldIn(KEY, 'initial')); // as fitPrior starts
  const tensors: Inputs = {
    ...prefixed('parameters', trainable),
    scale: recording.constants.scale,
    kernels: { shape: [COUNT, D], data: kernels.data.slice(0, COUNT * D) },
  };
  for (const [i, inputs] of recording.runs.slice(0, COMPARED_STEPS).entries()) {
    tensors[`w.${i}`] = inputs['steps.0.w'];
    tensors[`noise.${i}`] = inputs['steps.0.noise.latent'];
  }
  return {
    reference: {
      tensors: tensors as Prepared['reference']['tensors'],
      settings: { steps: COMPARED_STEPS, batch: BATCH, learningRate: LEARNING_RATE, scan: Number(scan) },
      losses: report!.trace.slice(0, COMPARED_STEPS).map(({ trainBound }) => [trainBound]),
    },
    /** The first half of a fit is for warming up; the second is timed. */
    async time(units) {
      const half = Math.max(units, WARM_UP) * STEPS_PER_EPOCH;
      const times: number[] = [];
      await fitPrior(
        {
          family: families.get('vae-pixels')!,
          kernels,
          config,
          options: { ...options, steps: 2 * half, validateEvery: half },
          engine,
          key: KEY,
        },
        { progress: () => times.push(now()) },
      );
      return (times[1] - times[0]) / (half / STEPS_PER_EPOCH);
    },
    release: async () => {},
  };
}

/** Weights of encoder and decoder: each acts forward and in two gradients, except in the encoder's first layer. */
const first = D * HIDDEN;
const weights = first + HIDDEN * (HIDDEN + 2 * LATENT) + LATENT * HIDDEN + HIDDEN * (HIDDEN + 2 * D);

/** Twice: JAX with one jitted call for each step, and with all steps of an epoch in one call (`lax.scan`). */
export const fitCases: Case[] = [false, true].map((scan) => ({
  name: scan ? 'fit-vae-scan' : 'fit-vae',
  title: `Kernel VAE 5×5, MLP, ${COUNT} kernels in batches of ${BATCH}${scan ? '; JAX: an epoch in one call' : ''}`,
  unit: 'epoch',
  peer: 'fit_vae',
  gflop: (2 * COUNT * (3 * weights - first)) / 1e9,
  target: 0.5,
  prepare: (engine) => prepare(scan, engine),
}));
