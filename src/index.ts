// The library: everything the command line is made of, for programs.
export * from './bounds/elbo.js';
export * from './bounds/hierarchical.js';
export * from './data/index.js';
export * from './engine/index.js';
export * from './errors.js';
export { type Estimator, estimators, samplerOf } from './estimators/index.js';
export * from './evaluate/index.js';
export { streamedBound } from './evaluate/streamed-bound.js';
export { readNpy, writeNpy } from './formats/npy.js';
export { readSafetensors, writeSafetensors } from './formats/safetensors.js';
export { importers, openModel } from './importers/index.js';
export {
  distributionShift,
  holdOut,
  type Kernels,
  looksLikeNoise,
  measureLayer,
  QualityAccumulator,
  readKernelDataset,
} from './kernels/index.js';
export * from './mcmc/index.js';
export * from './methods/index.js';
export * from './network/index.js';
export { posteriors } from './posteriors/index.js';
export { readPriorFolder, writePriorFolder } from './prior-folders/prior-folder.js';
export { imageVae } from './priors/image-vae.js';
export { families, type KernelPrior, type PriorFamily } from './priors/index.js';
export { type LatentPrior, latentPriors } from './priors/latent/index.js';
export { parseRunConfig, type RunConfig } from './runs/config.js';
export { resumeRun, startRun } from './runs/run.js';
export { type RunSummary, readSummary } from './runs/summary.js';
export { defaultFit, type FitOptions, fitPrior } from './train/fit-prior.js';
export { samplePrior } from './train/sample-prior.js';
export { initialState, type NetworkOptions, trainNetwork } from './train/train-network.js';
