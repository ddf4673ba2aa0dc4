// The contract of every importer: whatever the bytes, a sound model or one plain line that names the file.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { openSource as OpenSource } from '../../../src/formats/source.js';
import type { Importer, ModelLayers } from '../../../src/importers/index.js';
import { allocations } from './allocations.js';
import type { HostileModel } from './model.js';

/** The importer broke its contract. */
export class Finding extends Error {
  override name = 'Finding';
}

export interface Survived {
  outcome: 'accepted' | 'refused';
  /** Layers whose weights were read. */
  layers: number;
  /** Bytes of the largest single buffer that was asked for. */
  largest: number;
}

const KINDS = ['conv', 'depthwise', 'transposed'];
const MIB = 2 ** 20;
const MOST_AT_ONCE = 64 * MIB;
/** Characters that move a terminal's cursor, end a line, or turn text around. */
const CONTROL = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

/** Makes the files of a model the only ones of a folder. Removing a folder takes longer than reading most models. */
export function layOut(folder: string, { name, bytes, siblings = {} }: HostileModel): void {
  for (const file of readdirSync(folder))
    if (file !== name && !Object.hasOwn(siblings, file)) rmSync(join(folder, file), { recursive: true });
  for (const [sibling, content] of Object.entries(siblings)) writeFileSync(join(folder, sibling), content);
  writeFileSync(join(folder, name), bytes);
}

/**
 * Reads a model and all its weights.
 *
 * @param bytes of the model with all its files: what allocations are measured by
 * @throws Finding when anything else happens than the contract allows
 */
export async function survive(
  importer: Importer,
  openSource: typeof OpenSource,
  path: string,
  bytes: number,
): Promise<Survived> {
  const before = readdirSync(dirname(path)).join('\n');
  allocations.start();
  let read: Omit<Survived, 'largest'>;
  try {
    read = await readWhole(importer, openSource, path);
  } finally {
    allocations.stop();
  }
  const { largest } = allocations;
  if (largest > Math.min(MOST_AT_ONCE, Math.max(MIB, 1100 * bytes)))
    throw new Finding(`allocates ${largest} bytes at once for ${bytes} of the model`);
  if (readdirSync(dirname(path)).join('\n') !== before) throw new Finding('wrote to the folder of the model');
  return { ...read, largest };
}

async function readWhole(
  importer: Importer,
  openSource: typeof OpenSource,
  path: string,
): Promise<Omit<Survived, 'largest'>> {
  const source = openSource(path);
  let model: ModelLayers | undefined;
  try {
    model = await importer.read(source);
    const { layers, skipped, producer, licence } = model;
    for (const { layer, reason } of skipped) {
      if (typeof layer !== 'string' || typeof reason !== 'string' || reason === '')
        throw new Finding('skips without a name or a reason');
      requirePlain(reason, 'a reason');
    }
    for (const text of [producer, licence])
      if (text !== undefined && typeof text !== 'string')
        throw new Finding(`producer or licence ${typeof text}`);
    let count = 0;
    for (const { name, kind, shape, dtype, read } of layers) {
      if (typeof name !== 'string' || typeof dtype !== 'string' || !KINDS.includes(kind))
        throw new Finding(`a layer of kind ${kind}, named by ${typeof name}, stored as ${typeof dtype}`);
      if (shape.length !== 4 || !shape.every((n) => Number.isSafeInteger(n) && n > 0))
        throw new Finding(`a layer of shape [${shape}]`);
      try {
        const data = await read();
        if (!(data instanceof Float32Array) || data.length !== shape.reduce((a, b) => a * b))
          throw new Finding(`a layer of shape [${shape}] with ${data.length} values`);
        count++;
      } catch (error) {
        requireInputError(error, path);
      }
    }
    return { outcome: 'accepted', layers: count };
  } catch (error) {
    requireInputError(error, path);
    return { outcome: 'refused', layers: 0 };
  } finally {
    model?.close?.();
    source.close();
  }
}

function requireInputError(error: unknown, path: string): void {
  if (error instanceof Finding) throw error;
  if (!(error instanceof Error)) throw new Finding(`throws ${typeof error}`);
  const { code, hint } = error as Error & { code?: unknown; hint?: unknown };
  if (error.name !== 'DwpError' || code !== 'INPUT') throw error;
  requirePlain(error.message, 'an error');
  if (typeof hint === 'string') requirePlain(hint, 'a hint');
  // the model's own file, or one beside it
  if (!error.message.includes(basename(path)) && !error.message.includes(dirname(path)))
    throw new Finding(`does not name the file: ${error.message}`);
}

function requirePlain(text: string, what: string): void {
  if (CONTROL.test(text)) throw new Finding(`${what} with control characters: ${JSON.stringify(text)}`);
  if (text.length > 1000) throw new Finding(`${what} of ${text.length} characters: ${text.slice(0, 100)}`);
}
