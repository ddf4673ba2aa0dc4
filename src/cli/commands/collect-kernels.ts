// dwp collect-kernels: model files → a kernel dataset.
import { z } from 'zod';
import { usageError } from '../../errors.js';
import { refuseExisting } from '../../formats/files.js';
import { findModelFiles, importers } from '../../importers/index.js';
import {
  type CollectOptions,
  IDENTITIES,
  type Identity,
  NEAR_TOLERANCE,
  parseDepth,
  RELATIVE_MIN_NORM,
  ROLES,
  type Role,
  type SizeText,
} from '../../kernels/index.js';
import { type CollectResult, collectFiles, collectionText } from '../collection.js';
import { argument, defineCommand, integer, list, option, real } from '../command.js';

/** What of the command line is recorded: options that were not given are left out. */
function optionsOf(input: {
  size?: SizeText[];
  role?: Role[];
  depth?: string;
  filters?: number;
  grouped: boolean;
  foldBn: boolean;
  tolerance?: number;
  minNorm?: number;
  maxPerLayer?: number;
  maxPerModel?: number;
  duplicates: Identity;
  depthwise: CollectOptions['depthwise'];
  transposed: CollectOptions['transposed'];
  normalize: CollectOptions['normalize'];
  testFraction: number;
  seed: number;
}): CollectOptions {
  const {
    size,
    role,
    depth,
    filters,
    grouped,
    foldBn,
    tolerance,
    minNorm,
    maxPerLayer,
    maxPerModel,
    ...others
  } = input;
  if (grouped && filters === undefined)
    throw usageError('--grouped needs --filters', 'add --filters, or leave out --grouped');
  if (tolerance !== undefined && others.duplicates !== 'near')
    throw usageError(
      '--tolerance needs --duplicates near',
      'add --duplicates near, or leave out --tolerance',
    );
  return {
    ...others,
    ...(size && { sizes: size }),
    ...(role && { roles: role }),
    ...(depth !== undefined && { depth: parseDepth(depth) }),
    ...(filters !== undefined && { filters }),
    ...(grouped && { grouped: true }),
    ...(foldBn && { foldBatchNorm: true }),
    ...(others.duplicates === 'near' && { tolerance: tolerance ?? NEAR_TOLERANCE }),
    ...(minNorm !== undefined && { minNorm }),
    ...(maxPerLayer !== undefined && { maxPerLayer }),
    ...(maxPerModel !== undefined && { maxPerModel }),
  };
}

export const collectKernelsCommand = defineCommand({
  name: 'collect-kernels',
  description:
    `Reads files of these formats: ${importers.map(({ title }) => title).join(', ')}. ` +
    'Kernels that are not finite, constant, near zero or duplicates are dropped and counted. If at least five models ' +
    'have kernels of a size, its test kernels come from other models than its train kernels.',
  arguments: {
    models: argument(
      '<models...>',
      'model files, folders that contain model files, or patterns',
      list(z.string()),
    ),
  },
  options: {
    out: option('--out <dir>', 'folder to write; must not exist yet', z.string()),
    size: option(
      '--size <kxk...>',
      'kernel sizes to keep, such as 3x3 5x5',
      list(z.string().regex(/^[1-9]\d?x[1-9]\d?$/, 'write height x width, such as 3x3')).optional(),
      'every size but 1x1',
    ),
    filters: option(
      '--filters <c>',
      'collect whole filters [c, k, k] of layers with c input channels instead of single slices; use 3 for colour ' +
        'images; their size is then called 3x7x7 instead of 7x7',
      integer(2, 99).optional(),
      'single slices',
    ),
    grouped: option(
      '--grouped',
      'with --filters: also use layers whose number of inputs is a multiple of c, in groups of c consecutive slices',
      z.boolean().default(false),
    ),
    depthwise: option(
      '--depthwise <which>',
      'whether kernels of depthwise layers are collected',
      z.enum(['include', 'exclude', 'only']).default('include'),
    ),
    transposed: option(
      '--transposed <which>',
      'whether kernels of transposed convolutions are collected',
      z.enum(['include', 'exclude']).default('exclude'),
    ),
    role: option(
      '--role <role...>',
      'collect only layers of these roles',
      list(z.enum(ROLES)).optional(),
      'all',
    ),
    depth: option(
      '--depth <range>',
      'collect only this part of each model: 0:5 means the first five layers, 0-0.25 the first quarter',
      z.string().optional(),
      'all',
    ),
    foldBn: option(
      '--fold-bn',
      'multiply each batch normalisation into the kernels of the convolution before it, if the file says which one that is; ' +
        'dataset.json records for each model what was folded',
      z.boolean().default(false),
    ),
    maxPerLayer: option(
      '--max-per-layer <n>',
      'largest number of kernels of each size from one layer, chosen at random',
      integer(1).optional(),
      'no limit',
    ),
    maxPerModel: option(
      '--max-per-model <n>',
      'largest number of kernels of each size from one model, spread evenly over its layers',
      integer(1).optional(),
      'no limit',
    ),
    duplicates: option(
      '--duplicates <kind>',
      'which duplicates to drop: exact (the same bytes), near (the same shape and sign within --tolerance), ' +
        'symmetric (also mirrored, rotated or negated copies), or keep (none)',
      z.enum(IDENTITIES).default('exact'),
    ),
    tolerance: option(
      '--tolerance <step>',
      'with --duplicates near: kernels of norm 1 that differ by at most a quarter of this in every weight are duplicates',
      real(1e-6, 0.5).optional(),
      String(NEAR_TOLERANCE),
    ),
    minNorm: option(
      '--min-norm <norm>',
      'drop kernels whose L2 norm is smaller than this',
      real(0).optional(),
      `${RELATIVE_MIN_NORM} times the largest norm in the layer`,
    ),
    normalize: option(
      '--normalize <how>',
      'how to scale kernels: none, layer (divide by the root mean square of the layer) or unit (scale each kernel to norm 1)',
      z.enum(['none', 'layer', 'unit']).default('none'),
    ),
    testFraction: option(
      '--test-fraction <part>',
      'part of the kernels to hold out as test kernels; 0 means none',
      real(0, 0.9).default(0.2),
    ),
    seed: option(
      '--seed <n>',
      'seed of the split, and of the choice of kernels by --max-per-layer and --max-per-model',
      integer(0).default(0),
    ),
    licence: option(
      '--licence <text>',
      'licence to record for models that do not state one',
      z.string().optional(),
    ),
    threads: option(
      '--threads <n>',
      'number of models to read at the same time; 0 means one per core',
      integer(0, 256).default(0),
    ),
  },
  examples: [
    'dwp collect-kernels pretrained --out kernels',
    'dwp collect-kernels models/*.onnx weights.h5 --out kernels --size 3x3 5x5 --depthwise exclude',
    'dwp collect-kernels models --out first-layers --role first --size 7x7 11x11 --licence Apache-2.0',
    'dwp collect-kernels models --out colour-kernels --filters 3',
    'dwp collect-kernels models --out balanced --max-per-model 20000 --max-per-layer 2000 --duplicates symmetric',
    'dwp collect-kernels models --out folded --fold-bn --depth 0-0.5 --format json',
  ],
  run: async ({ models: paths, out, licence, threads, ...rest }, effects): Promise<CollectResult> => {
    refuseExisting(out);
    const options = optionsOf(rest);
    return collectFiles(findModelFiles(paths), out, options, { threads, licence }, effects);
  },
  render: collectionText,
});
