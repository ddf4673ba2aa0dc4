// First pass over a model: which kernels are fit to be collected, and the hashes by which duplicates are found.
import { DwpError } from '../errors.js';
import {
  type ConvLayer,
  type LayerKind,
  type ModelFile,
  type OpenedModel,
  openModel,
} from '../importers/index.js';
import { hasBit } from './bits.js';
import { type CleanLayer, cleanLayer } from './clean.js';
import { sketchOf } from './copies.js';
import type { HashedRows } from './duplicates.js';
import { type SizeText, sizeText } from './kernels.js';
import { type CollectOptions, channelsOf, wantsLayer } from './options.js';
import { type Role, relativeDepth, roleOf } from './roles.js';

/** Larger ones are no kernels to learn shapes from, and their names are no sizes. */
const MOST_SIDE = 99;

/** How models are opened: by their path, or from memory in tests. */
export type ModelOpener = (path: string, options: { foldBatchNorm?: boolean }) => Promise<OpenedModel>;

export interface ScannedLayer extends CleanLayer {
  /** Among all convolutions of the model. */
  index: number;
  name: string;
  kind: LayerKind;
  shape: ConvLayer['shape'];
  size: SizeText;
  /** Input channels that one kernel spans. */
  channels: number;
  dtype: string;
  role: Role;
  /** 0 for the model's first convolution, 1 for its last. */
  depth: number;
  found: number;
  /** Of a layer of a dataset: so many rows were train kernels, the others test kernels. */
  trainRows?: number;
  /** A few of its kernels, by which copies of the layer are found. */
  sketch?: HashedRows;
}

/** What a model is, apart from its kernels. Digests of files are left for later: that takes as long as all the rest. */
export interface ScannedModel {
  format: string;
  /** Where the model is no file but says what it is; the same holds for its parts. */
  sha256?: string;
  bytes: number;
  parts: { name: string; sha256?: string; bytes: number }[];
  licence?: string;
  producer?: string;
  /** All 2-D convolutions, of every size and kind. */
  layers: number;
  skipped: { layer: string; reason: string }[];
  /** What the importer assumed or did where the file leaves it open. */
  notes?: string[];
  /** What became of its batch norms, where they were to be folded. */
  batchNorms?: OpenedModel['batchNorms'];
  /** Where there are no layers: what the owner of the file can do. */
  advice?: string;
  files: OpenedModel['files'];
}

export interface ScanHooks {
  layer(layer: ScannedLayer): void;
  /** @param share of the model that is done, from 0 to 1 */
  progress(share: number): void;
  /** Called between layers; throws to stop. */
  pause(): Promise<void>;
}

/**
 * Memory: one tensor, and a few words for each of its kernels.
 *
 * @throws DwpError INPUT when the model cannot be read; a layer that cannot goes to `skipped`
 */
export async function scanModel(
  { path }: Pick<ModelFile, 'path'>,
  options: CollectOptions,
  hooks: ScanHooks,
  open: ModelOpener = openModel,
): Promise<ScannedModel> {
  const model = await open(path, { foldBatchNorm: options.foldBatchNorm });
  try {
    const skipped = [...model.skipped];
    const count = model.layers.length;
    for (const [index, layer] of model.layers.entries()) {
      if (!wantsLayer(options, layer, index, count)) continue;
      await hooks.pause();
      const [out, inputs, h, w] = layer.shape;
      if (h > MOST_SIDE || w > MOST_SIDE) {
        skipped.push({
          layer: layer.name,
          reason: `kernels of ${h}x${w}: at most ${MOST_SIDE}x${MOST_SIDE} are collected`,
        });
        continue;
      }
      let data: Float32Array;
      try {
        data = await layer.read();
      } catch (error) {
        if (!(error instanceof DwpError && error.code === 'INPUT')) throw error;
        skipped.push({ layer: layer.name, reason: reasonOf(error, path) });
        continue;
      }
      const channels = channelsOf(options, layer)!;
      const clean = cleanLayer(data, h, w, options, channels);
      const sketch = sketchOf(data, h, w, channels, (row) => hasBit(clean.kept, row));
      hooks.layer({
        index,
        name: layer.name,
        kind: layer.kind,
        shape: layer.shape,
        size: sizeText({ h, w, channels }),
        channels,
        dtype: layer.dtype,
        role: roleOf(layer, index, count),
        depth: relativeDepth(index, count),
        found: (out * inputs) / channels,
        ...('trainRows' in layer && { trainRows: layer.trainRows as number }),
        ...clean,
        ...(sketch && { sketch }),
      });
      hooks.progress((index + 1) / (count + 1));
    }
    const { format, bytes, licence, producer, notes, advice, batchNorms, files } = model;
    const told = open !== openModel;
    return {
      format,
      ...(told && { sha256: model.sha256 }),
      bytes,
      parts: model.parts.map((part) => ({
        ...{ name: part.name, bytes: part.bytes },
        ...(told && { sha256: part.sha256 }),
      })),
      ...(licence && { licence }),
      ...(producer && { producer }),
      ...(notes && notes.length > 0 && { notes }),
      ...(advice && { advice }),
      ...(batchNorms && { batchNorms }),
      layers: count,
      skipped,
      files,
    };
  } finally {
    model.close();
  }
}

/** The message without the file's name, for a list that gives it already. */
export const reasonOf = ({ message }: DwpError, path: string): string =>
  message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
