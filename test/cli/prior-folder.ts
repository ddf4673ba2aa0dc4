// Folders of fitted priors for tests, without the fit.
import { writePriorFolder } from '../../src/prior-folders/prior-folder.js';
import { type KernelPrior, kernelLength } from '../../src/priors/index.js';
import { normal } from '../engine/reference.js';

export function writeTestPrior(folder: string, prior: KernelPrior): void {
  writePriorFolder(
    folder,
    prior,
    {
      source: { name: 'random', sha256: '', train: 1, test: 1, std: 0.2 },
      seed: 0,
      seconds: 0,
      test: { n: 1, elbo: 0, bound: 0, samples: 1, standardError: 0 },
      baselines: {},
    },
    { data: normal(0, 2, kernelLength(prior.size)).data as Float32Array<ArrayBuffer>, count: 2 },
  );
}
