// Kernel datasets: collecting, cleaning, splitting, writing, reading.
export { type Dropped, RELATIVE_MIN_NORM } from './clean.js';
export {
  type CollectEnvironment,
  type CollectHooks,
  type Collection,
  collectKernels,
  countReasons,
} from './collect.js';
export {
  type KernelDataset,
  networksOfRows,
  type ReadDatasetOptions,
  readDatasetDescription,
  readKernelDataset,
} from './dataset.js';
export { type DeriveOptions, deriveDataset } from './derive.js';
export type { Counts, DatasetDescription, DatasetSource, LayerRecord } from './description.js';
export { type DatasetDifference, diffDatasets } from './diff.js';
export {
  type ComparedGroups,
  compareGroups,
  examineDatasetSize,
  examineKernels,
  examineModel,
} from './examine.js';
export type { KernelGroup } from './group.js';
export { IDENTITIES, type Identity, NEAR_TOLERANCE } from './identity.js';
export {
  compareSizes,
  concatKernels,
  heldOutRows,
  holdOut,
  type KernelSize,
  type Kernels,
  kernelLength,
  parseSize,
  pooledMoments,
  type SizeText,
  sizeText,
  slicesOf,
  takeKernels,
} from './kernels.js';
export { type Leak, leakWarning } from './leaks.js';
export { type NetworkKernels, type NetworkOptions, readNetworks } from './networks.js';
export type { CollectOptions, Normalisation } from './options.js';
export type { Origin } from './origin.js';
export { powerSpectrum } from './power-spectrum.js';
export {
  type LayerQuality,
  looksLikeNoise,
  measureLayer,
  noiseWarning,
  type Quality,
  QualityAccumulator,
} from './quality/index.js';
export { parseDepth, ROLES, type Role, roleOf } from './roles.js';
export { letThrough } from './scan-pool.js';
export { distributionShift, type Shift } from './shift.js';
export { openStored, type StoredDataset } from './stored.js';
export { heStd, UNIT_NAMES, UNITS, type Units } from './units.js';
