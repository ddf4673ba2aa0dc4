// The content of dataset.json, which says where every row of a kernel dataset comes from.
import { z } from 'zod';
import { IDENTITIES } from './identity.js';
import { ROLES } from './roles.js';

const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const size = z.string().regex(/^([1-9]\d?x){1,2}[1-9]\d?$/);
const rows = z.object({ offset: count, count });
const dropped = z.object({
  nonFinite: count,
  constant: count,
  nearZero: count,
  duplicate: count,
  /** More than --max-per-layer and --max-per-model take. */
  overLimit: count.default(0),
});
/** @property scales sha256 of the norms beside the array, with `unit` since version 2 */
const part = z.object({ rows: count, sha256, scales: sha256.optional() });

const options = z.object({
  sizes: z.array(size).optional(),
  filters: count.optional(),
  grouped: z.boolean().optional(),
  depthwise: z.enum(['include', 'exclude', 'only']),
  transposed: z.enum(['include', 'exclude']),
  roles: z.array(z.enum(ROLES)).optional(),
  depth: z.object({ by: z.enum(['index', 'fraction']), from: z.number(), to: z.number() }).optional(),
  /** Whether any batch norm was folded; `sources` say which were not. */
  foldBatchNorm: z.boolean().optional(),
  minNorm: z.number().optional(),
  duplicates: z.enum(IDENTITIES).optional(),
  tolerance: z.number().positive().optional(),
  maxPerLayer: count.optional(),
  maxPerModel: count.optional(),
  normalize: z.enum(['none', 'layer', 'unit']),
  testFraction: z.number(),
  splitBy: z.enum(['model', 'kernel', 'kept']).optional(),
  seed: z.number(),
});

const source = z.object({
  name: z.string(),
  format: z.string(),
  sha256,
  bytes: count,
  /** Further files of the model: external data, shards. */
  parts: z.array(z.object({ name: z.string(), sha256, bytes: count })).optional(),
  licence: z.string().optional(),
  /** What the network was trained on, where a catalogue says it: photos, faces, sound … */
  trainedOn: z.string().optional(),
  producer: z.string().optional(),
  /** What was assumed or done where the file leaves it open. */
  notes: z.array(z.string()).optional(),
  /** With foldBatchNorm: how many were multiplied into kernels, and which were not. */
  batchNorms: z
    .object({ folded: count, notFolded: z.array(z.object({ batchNorm: z.string(), reason: z.string() })) })
    .optional(),
});

const sizeRecord = z.object({
  found: count,
  dropped,
  split: z.object({ by: z.enum(['model', 'kernel', 'none']), testModels: z.array(count) }),
  train: part,
  test: part.optional(),
  /** Over every value of the train kernels, as stored. */
  mean: z.number(),
  std: z.number(),
});

/** Quality of a layer is that of so many of its kernels at most: more would take longer than collecting them. */
export const MOST_MEASURED = 1000;

const layer = z.object({
  /** Index of the source. */
  model: count,
  layer: z.string(),
  kind: z.enum(['conv', 'depthwise', 'transposed']),
  /** Since version 2. */
  role: z.enum(ROLES).optional(),
  /** From 0, the model's first convolution, to 1, its last; since version 2. */
  depth: z.number().optional(),
  /** [out, in of a group, h, w] */
  shape: z.tuple([count, count, count, count]),
  size,
  dtype: z.string(),
  found: count,
  /** Rows of train.npy and test.npy. */
  train: rows,
  test: rows,
  /** Of the kept slices before normalisation; null when none was kept. */
  statistics: z
    .object({ mean: z.number(), std: z.number(), minNorm: z.number(), maxNorm: z.number() })
    .nullable(),
  /** Of up to {@link MOST_MEASURED} of the kept slices, evenly spaced; since version 2. */
  quality: z
    .object({
      kernels: count,
      sparsity: z.number().nullable(),
      varianceEntropy: z.number().nullable(),
      /** Median correlation of neighbouring weights. */
      lagOne: z.number().nullable(),
    })
    .optional(),
  /** What the kept slices were divided by; null with `unit`, where every kernel has its own. */
  scale: z.number().nullable(),
});

export const datasetSchema = z.object({
  format: z.literal('dwp-kernels'),
  version: z.union([z.literal(1), z.literal(2)]),
  options,
  sources: z.array(source),
  sizes: z.record(size, sizeRecord),
  layers: z.array(layer),
  /** Datasets that this one was made of; since version 2. */
  derivedFrom: z
    .array(
      z.object({
        name: z.string(),
        /** Of its dataset.json. */
        sha256,
        options,
        sizes: z.record(size, z.object({ found: count, dropped })),
      }),
    )
    .optional(),
});

export type DatasetDescription = z.infer<typeof datasetSchema>;
export type DatasetSource = z.infer<typeof source>;
export type SizeRecord = z.infer<typeof sizeRecord>;
export type LayerRecord = z.infer<typeof layer>;
export type Counts = SizeRecord['dropped'];
