// Kernel datasets: collecting, cleaning, splitting, writing, reading.
export { type Dropped, RELATIVE_MIN_NORM } from './clean.js';
export {
  type Collection,
  type CollectOptions,
  KernelCollector,
  type LayerRecord,
  type Normalisation,
} from './collect.js';
export {
  type DatasetDescription,
  type DatasetSource,
  type KernelDataset,
  readDatasetDescription,
  readKernelDataset,
  writeKernelDataset,
} from './dataset.js';
export {
  compareSizes,
  concatKernels,
  holdOut,
  type KernelSize,
  type Kernels,
  kernelSize,
  parseKernelSize,
  pooledMoments,
  takeKernels,
} from './kernels.js';
export {
  type LayerQuality,
  layerQuality,
  looksLikeNoise,
  type Quality,
  QualityAccumulator,
} from './quality/index.js';
export { distributionShift, type Shift } from './shift.js';
