// Kernel datasets on disk, read: dataset.json with the origin of every row, and per size train.npy and test.npy.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { inputError } from '../errors.js';
import { parseNpy } from '../formats/npy.js';
import { readBytes, readJson, statOf } from '../formats/read-file.js';
import { shown } from '../formats/source.js';
import { type DatasetDescription, datasetSchema } from './description.js';
import {
  compareSizes,
  type Kernels,
  kernelLength,
  parseSize,
  pooledMoments,
  type SizeText,
  sizeText,
  slicesOf,
} from './kernels.js';
import { type KernelArray, type Origin, originOf, takeRoles } from './origin.js';
import type { Role } from './roles.js';
import { type Units, unitOf } from './units.js';

/** What a part of the project that learns from kernels is given. */
export interface KernelDataset {
  /** As the models have them: what they were divided by when they were collected is multiplied back. */
  train: Kernels;
  /** Absent for a bare .npy, and where nothing was held out. */
  test?: Kernels;
  /** Of dataset.json, which holds those of the arrays, or of the .npy. */
  sha256: string;
  /** The folder's or file's name, without where it lies. */
  name: string;
  /** Over every value of `train`. */
  mean: number;
  std: number;
  /** The layers that the kernels come from, as far as they are known. */
  origin?: Origin;
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** @throws DwpError INPUT when `folder` holds no valid dataset.json. */
export function readDatasetDescription(folder: string): DatasetDescription {
  const path = join(folder, 'dataset.json');
  if (!existsSync(path))
    throw inputError(
      `${folder}: no kernel dataset (it has no dataset.json)`,
      'make one with dwp collect-kernels',
    );
  const parsed = datasetSchema.safeParse(readJson(path));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw inputError(
      `${path}: not a valid kernel dataset (${issue.path.join('.') || 'document'}: ${issue.message})`,
      'collect the kernels again',
    );
  }
  return parsed.data;
}

export interface ReadDatasetOptions {
  /** Leaves the kernels as they are stored: divided by the layer's root mean square or their own norm. */
  asStored?: boolean;
  /** Only kernels of layers with one of these roles; of an array, which says nothing of layers, what it holds. */
  roles?: readonly Role[];
  /** What the kernels of each layer are divided by; nothing unless given. */
  units?: Units;
}

/**
 * Kernels of one size, from a dataset folder or a bare .npy of [n, k, k], [n, 1, k, k] or, of whole filters, [n, c, k, k].
 *
 * @param size may be left out for a .npy and for a dataset of one size; `7x7` of whole filters `3x7x7` are their slices
 * @throws DwpError INPUT when there is no such size, no kernel, a value that is not finite, or a damaged file
 */
export function readKernelDataset(
  path: string,
  size?: SizeText,
  { asStored = false, roles, units = 'weights' }: ReadDatasetOptions = {},
): KernelDataset {
  const wanted = size === undefined ? undefined : canonical(size);
  const name = basename(resolve(path));
  if (!statOf(path)?.isDirectory()) {
    if (units !== 'weights')
      throw inputError(
        `${path}: kernels in units of their layers are asked for, and an array knows no layers`,
        'give a dataset of dwp collect-kernels',
      );
    const bytes = readBytes(path);
    const whole = parseKernels(bytes, path);
    const present = sizeText(whole);
    if (wanted && wanted !== present && wanted !== sliceSize(present))
      throw noSuchSize(path, wanted, [present]);
    const train = wanted && wanted !== present ? slicesOf(whole) : whole;
    const origin = roles && { origin: { roles: [...roles], inputs: [] } };
    return { train, sha256: digest(bytes), name, ...pooledMoments(train.data), ...origin };
  }
  const description = readDatasetDescription(path);
  const { sizes } = description;
  const present = Object.keys(sizes).sort(compareSizes);
  if (wanted === undefined && present.length !== 1)
    throw inputError(
      present.length === 0
        ? `${path}: no kernels`
        : `${path}: kernels of several sizes (${present.join(', ')})`,
      present.length === 0 ? 'collect kernels again' : 'choose one size with --size',
    );
  const named = wanted ?? present[0];
  const chosen = Object.hasOwn(sizes, named) ? named : present.find((size) => sliceSize(size) === named);
  if (!chosen) throw noSuchSize(path, named, present);
  const read = (which: 'train' | 'test', { rows, sha256 }: { rows: number; sha256: string }) => {
    const file = join(path, chosen, `${which}.npy`);
    const bytes = readBytes(file);
    if (digest(bytes) !== sha256)
      throw inputError(`${file}: not the file that dataset.json describes`, 'collect the kernels again');
    const kernels = parseKernels(bytes, file);
    if (kernels.count !== rows || sizeText(kernels) !== chosen)
      throw inputError(
        `${file}: holds ${kernels.count} kernels of ${sizeText(kernels)}, not ${rows} of ${chosen}`,
      );
    if (!asStored) undoNormalisation(kernels, path, chosen, which, description);
    if (units !== 'weights') intoUnits(kernels, units, { description, size: chosen, which, path });
    const taken = roles ? takeRoles(kernels, { description, size: chosen, which, path }, roles) : kernels;
    return named === chosen ? taken : slicesOf(taken);
  };
  const origin = originOf(description, chosen);
  if (roles && !origin.roles?.some((role) => roles.includes(role)))
    throw inputError(
      `${path}: no ${chosen} kernels of ${roles.join(' or ')} layers`,
      origin.roles
        ? `its ${chosen} kernels come from ${origin.roles.join(', ')} layers`
        : 'the roles of its layers are not recorded: collect the kernels again',
    );
  const { train: part, test, mean, std } = sizes[chosen];
  const train = read('train', part);
  const held = test && read('test', test);
  const asGiven = !roles && units === 'weights' && (asStored || description.options.normalize === 'none');
  return {
    train,
    ...(held && held.count > 0 && { test: held }), // a role may have kernels for training only
    sha256: digest(readBytes(join(path, 'dataset.json'))),
    name,
    ...(asGiven ? { mean, std } : pooledMoments(train.data)),
    origin: originOf(description, chosen, roles),
  };
}

/**
 * The network that each row of train.npy or test.npy is from; undefined for a bare array, and for slices of whole filters.
 * @throws DwpError INPUT when the folder is no dataset
 */
export function networksOfRows(path: string, size: SizeText, which: 'train' | 'test'): string[] | undefined {
  if (!statOf(path)?.isDirectory()) return undefined;
  const { sizes, layers, sources } = readDatasetDescription(path);
  const part = Object.hasOwn(sizes, size) ? sizes[size][which] : undefined;
  if (!part) return undefined;
  const names = new Array<string>(part.rows).fill('unknown');
  for (const { size: own, model, [which]: rows } of layers)
    if (own === size) names.fill(sources[model]?.name ?? 'unknown', rows.offset, rows.offset + rows.count);
  return names;
}

/** Multiplies back, in place, what each kernel was divided by. */
function undoNormalisation(
  kernels: Kernels,
  folder: string,
  size: SizeText,
  which: 'train' | 'test',
  { options, sizes, layers }: DatasetDescription,
): void {
  const { data, count } = kernels;
  const d = kernelLength(kernels);
  if (options.normalize === 'unit') {
    const file = join(folder, size, `${which}.scale.npy`);
    const bytes = readBytes(file);
    const known = sizes[size][which]!.scales;
    const { data: scales, shape } = parseNpy(bytes, file);
    if ((known !== undefined && digest(bytes) !== known) || shape.length !== 1 || scales.length !== count)
      throw inputError(`${file}: not the file that dataset.json describes`, 'collect the kernels again');
    for (let i = 0; i < data.length; i++) data[i] *= scales[Math.floor(i / d)];
  } else if (options.normalize === 'layer') {
    for (const layer of layers) {
      const { offset, count: rows } = layer[which];
      if (layer.size !== size || rows === 0) continue;
      if (layer.scale === null || offset + rows > count)
        throw inputError(
          `${join(folder, 'dataset.json')}: the scale or the rows of layer ${shown(layer.layer)} are not right`,
          'collect the kernels again',
        );
      for (let i = offset * d; i < (offset + rows) * d; i++) data[i] *= layer.scale;
    }
  }
}

/** Divides kernels, in place, by the units of their layers. @throws DwpError INPUT when rows lie outside of the array */
function intoUnits(kernels: Kernels, units: Units, { description, size, which, path }: KernelArray): void {
  const { data, count } = kernels;
  const d = kernelLength(kernels);
  for (const layer of description.layers) {
    const { offset, count: rows } = layer[which];
    if (layer.size !== size || rows === 0) continue;
    if (offset + rows > count)
      throw inputError(`${path}: the rows of its layers are not right`, 'collect the kernels again');
    const unit = unitOf(units, layer);
    for (let i = offset * d; i < (offset + rows) * d; i++) data[i] /= unit;
  }
}

/** @throws DwpError INPUT, see {@link readKernelDataset}. */
function parseKernels(bytes: Uint8Array, path: string): Kernels {
  const { data, shape } = parseNpy(bytes, path);
  if (shape.length !== 3 && shape.length !== 4)
    throw inputError(`${path}: an array of [${shape}], not of kernels`, 'expected [n, k, k] or [n, c, k, k]');
  const [n, channels, h, w] = shape.length === 4 ? shape : [shape[0], 1, shape[1], shape[2]];
  const size = channels * h * w;
  if (n * size === 0) throw inputError(`${path}: holds no kernels (shape [${shape}])`);
  if (Math.max(h, w, channels) > 99)
    throw inputError(
      `${path}: kernels of ${sizeText({ h, w, channels })} are too large`,
      'the limit is 99x99, with 99 channels',
    );
  const bad = data.findIndex((x) => !Number.isFinite(x));
  if (bad !== -1)
    throw inputError(
      `${path}: kernel ${Math.floor(bad / size)} (counted from 0) holds ${data[bad]}`,
      'remove the kernels that are not finite',
    );
  return { data, count: n, h, w, ...(channels > 1 && { channels }) };
}

const canonical = (size: SizeText): SizeText => sizeText(parseSize(size));

/** Of one channel of such kernels. */
function sliceSize(size: SizeText): SizeText {
  const { h, w } = parseSize(size);
  return sizeText({ h, w });
}

const noSuchSize = (path: string, wanted: SizeText, present: SizeText[]) =>
  inputError(`${path}: no kernels of ${wanted}`, `it has ${present.join(', ')}`);
