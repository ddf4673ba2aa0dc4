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
  type ComparedGroups,
  compareGroups,
  examineDatasetSize,
  examineKernels,
  examineModel,
} from './examine.js';
export type { KernelGroup } from './group.js';
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
export { powerSpectrum } from './power-spectrum.js';
export {
  type LayerQuality,
  looksLikeNoise,
  measureLayer,
  noiseWarning,
  type Quality,
  QualityAccumulator,
} from './quality/index.js';
export { distributionShift, type Shift } from './shift.js';
