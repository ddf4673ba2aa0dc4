// dwp merge-kernels, split-kernels and subset-kernels: kernel datasets → a kernel dataset.
import { z } from 'zod';
import { inputError } from '../../errors.js';
import { refuseExisting } from '../../formats/files.js';
import {
  type Counts,
  type DeriveOptions,
  deriveDataset,
  IDENTITIES,
  leakWarning,
  openStored,
  ROLES,
  type SizeText,
  type StoredDataset,
} from '../../kernels/index.js';
import { argument, defineCommand, integer, list, option, real } from '../command.js';
import type { Effects, Progress } from '../effects.js';
import { seedOption } from '../options.js';
import { table } from '../table.js';

interface DeriveResult {
  out: string;
  sources: number;
  kernels: Record<
    SizeText,
    { found: number; kept: number; train: number; test: number; split: string; dropped: Counts }
  >;
}

async function derive(
  paths: readonly string[],
  out: string,
  options: DeriveOptions,
  effects: Effects,
): Promise<DeriveResult> {
  refuseExisting(out);
  const datasets: StoredDataset[] = [];
  let progress: Progress | undefined;
  try {
    for (const path of paths) datasets.push(openStored(path));
    const { description, sizes, models, leaks } = await deriveDataset(datasets, out, options, {
      signal: effects.signal,
      warn: effects.warn,
      progress: (bytes, total, what) => {
        progress ??= effects.progress('taking over kernels, bytes', total);
        progress.update(bytes, what);
      },
    });
    if (!description)
      throw inputError(`no kernels of ${paths.join(', ')} are left`, 'list the contents with dwp inspect');
    for (const leak of leaks) effects.warn(leakWarning(leak));
    const kernels: DeriveResult['kernels'] = {};
    for (const [size, { found, dropped, train, test, split }] of sizes)
      kernels[size] = { found, kept: train + test, train, test, split, dropped };
    return { out, sources: models.length, kernels };
  } finally {
    progress?.stop();
    for (const dataset of datasets) dataset.close();
  }
}

const render = ({ out, sources, kernels }: DeriveResult) =>
  [
    table(
      ['size', 'found', 'duplicate', 'over limit', 'kept', 'train', 'test', 'split by'],
      Object.entries(kernels).map(([size, { found, dropped, kept, train, test, split }]) => [
        ...[size, found, dropped.duplicate, dropped.overLimit, kept, train, test, split],
      ]),
    ),
    `${sources} source${sources === 1 ? '' : 's'}; written to ${out}`,
  ].join('\n\n');

const outOption = option('--out <dir>', 'folder to write; must not exist yet', z.string());
const dataset = argument('<dataset>', 'folder of dwp collect-kernels', z.string());

export const mergeKernels = defineCommand({
  name: 'merge-kernels',
  description:
    'The models are not needed. A kernel that an earlier dataset has is dropped and counted. All other kernels stay ' +
    'train or test kernels, as they were. A model that is a source of several datasets is one source of the result.',
  arguments: {
    datasets: argument('<datasets...>', 'folders of dwp collect-kernels', list(z.string())),
  },
  options: {
    out: outOption,
    duplicates: option(
      '--duplicates <kind>',
      'which duplicates to drop: exact, near or symmetric copies, or keep (none)',
      z.enum(IDENTITIES).default('exact'),
    ),
  },
  examples: ['dwp merge-kernels kernels-a kernels-b --out kernels'],
  run: ({ datasets, out, duplicates }, effects) => derive(datasets, out, { duplicates, seed: 0 }, effects),
  render,
});

export const splitKernels = defineCommand({
  name: 'split-kernels',
  description:
    'The models are not needed. Its train and test kernels are joined, sorted by source and layer, and divided.',
  arguments: { dataset },
  options: {
    out: outOption,
    by: option(
      '--by <what>',
      'how to divide: model (test kernels come from other models than train kernels) or kernel (at random)',
      z.enum(['model', 'kernel']).default('model'),
    ),
    testFraction: option(
      '--test-fraction <part>',
      'part of the kernels to hold out as test kernels; 0 means none',
      real(0, 0.9).default(0.2),
    ),
    seed: seedOption,
  },
  examples: ['dwp split-kernels kernels --by kernel --test-fraction 0.1 --seed 3 --out kernels-3'],
  run: ({ dataset: path, out, by, testFraction, seed }, effects) =>
    derive([path], out, { splitBy: by, testFraction, seed }, effects),
  render,
});

export const subsetKernels = defineCommand({
  name: 'subset-kernels',
  description:
    'The models are not needed. Kernels stay train or test kernels as they were, unless only test kernels are left. ' +
    'In a pattern, * stands for any text.',
  arguments: { dataset },
  options: {
    out: outOption,
    size: option('--size <kxk...>', 'kernel sizes to keep', list(z.string()).optional(), 'all'),
    source: option(
      '--source <pattern...>',
      'sources to keep, as patterns of their names',
      list(z.string()).optional(),
      'all',
    ),
    layer: option(
      '--layer <pattern...>',
      'layers to keep, as patterns of their names',
      list(z.string()).optional(),
      'all',
    ),
    role: option('--role <role...>', 'roles of the layers to keep', list(z.enum(ROLES)).optional(), 'all'),
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
    seed: seedOption,
  },
  examples: [
    "dwp subset-kernels kernels --source '*resnet*' --size 7x7 --out resnet-stems",
    'dwp subset-kernels kernels --max-per-model 5000 --out balanced',
  ],
  run: ({ dataset: path, out, size, source, layer, role, maxPerLayer, maxPerModel, seed }, effects) => {
    const sources = matcher(source);
    const layers = matcher(layer);
    const options: DeriveOptions = {
      wants: ({ record, source: { name } }) =>
        (!size || size.includes(record.size)) &&
        sources(name) &&
        layers(record.layer) &&
        (!role || (record.role !== undefined && role.includes(record.role))),
      ...(maxPerLayer !== undefined && { maxPerLayer }),
      ...(maxPerModel !== undefined && { maxPerModel }),
      seed,
    };
    return derive([path], out, options, effects);
  },
  render,
});

/** Whether a name is one of the patterns, `*` standing for anything. */
function matcher(patterns: readonly string[] | undefined): (name: string) => boolean {
  if (!patterns) return () => true;
  const parts = patterns.map((pattern) => pattern.split('*'));
  return (name) => parts.some((pieces) => matches(name, pieces));
}

/** Piece by piece from the left, so that no pattern takes long. */
function matches(name: string, [first, ...rest]: readonly string[]): boolean {
  if (rest.length === 0) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest.slice(0, -1)) {
    const found = name.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  const last = rest[rest.length - 1];
  return name.length - last.length >= at && name.endsWith(last);
}
