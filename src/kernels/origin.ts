// Which layers the kernels of a dataset come from, by the part they play in their models.
import { inputError } from '../errors.js';
import type { DatasetDescription, LayerRecord } from './description.js';
import { type Kernels, type SizeText, takeKernels } from './kernels.js';
import { ROLES, type Role } from './roles.js';

export interface Origin {
  /** Distinct roles of the layers, in the order of ROLES; undefined where some layer's is not known. */
  roles?: Role[];
  /** Distinct numbers of input channels (of a group), rising. */
  inputs: number[];
}

const used = ({ layers }: DatasetDescription, size: SizeText): LayerRecord[] =>
  layers.filter((layer) => layer.size === size && layer.train.count + layer.test.count > 0);

/** Of the kernels of one size in layers of these roles, all where none are named. */
export function originOf(description: DatasetDescription, size: SizeText, roles?: readonly Role[]): Origin {
  const layers = used(description, size).filter(
    ({ role }) => !roles || (role !== undefined && roles.includes(role)),
  );
  const known = layers.every(({ role }) => role !== undefined);
  return {
    ...(known && { roles: ROLES.filter((role) => layers.some((layer) => layer.role === role)) }),
    inputs: [...new Set(layers.map(({ shape }) => shape[1]))].sort((a, b) => a - b),
  };
}

/** One array of a dataset; its path is for messages. */
export interface KernelArray {
  description: DatasetDescription;
  size: SizeText;
  which: 'train' | 'test';
  path: string;
}

/**
 * The kernels of train.npy or test.npy that come from layers of these roles.
 * @throws DwpError INPUT when the dataset does not know its layers' roles, or rows lie outside of the array
 */
export function takeRoles(
  kernels: Kernels,
  { description, size, which, path }: KernelArray,
  roles: readonly Role[],
): Kernels {
  const layers = used(description, size);
  if (layers.some(({ role }) => role === undefined))
    throw inputError(
      `${path}: its layers have no roles: it was written by an earlier version`,
      'collect the kernels again',
    );
  const rows = layers
    .filter(({ role }) => roles.includes(role!))
    .flatMap(({ [which]: { offset, count } }) => Array.from({ length: count }, (_, i) => offset + i));
  if (rows.some((row) => row >= kernels.count))
    throw inputError(`${path}: the rows of its layers are not right`, 'collect the kernels again');
  return takeKernels(kernels, rows);
}
