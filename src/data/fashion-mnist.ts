// Fashion-MNIST, from the Debian package dataset-fashion-mnist.
import { existsSync } from 'node:fs';
import { inputError } from '../errors.js';
import type { DatasetSource } from './dataset.js';

const DEBIAN_DIRECTORY = '/usr/share/datasets/fashion-mnist';

export const fashionMnist: DatasetSource = {
  name: 'fashion-mnist',
  description: 'articles of clothing, 60,000 + 10,000 grey images of 28×28 (Xiao et al. 2017)',
  classes: 10,
  directory() {
    if (existsSync(DEBIAN_DIRECTORY)) return DEBIAN_DIRECTORY;
    throw inputError(
      `fashion-mnist is not in ${DEBIAN_DIRECTORY}`,
      'install the Debian package dataset-fashion-mnist, or pass --data-dir with its four IDX files',
    );
  },
};
