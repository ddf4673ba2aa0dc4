// Files that a person named or a folder holds → models: files of one model are one.
import { statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { DwpError } from '../errors.js';
import { openSource } from '../formats/source.js';
import type { ModelFile } from './importer.js';
import { isShardIndex, shardName, shardsOfIndex } from './shards.js';

/** Extensions of formats whose files are read together. */
export const SHARDED = ['.safetensors', '.bin', '.pt', '.pth', '.ckpt'];

/**
 * An index stands for the files that it names where they are all there; files with numbers in their names are stood
 * for by the first.
 */
export function joinShards(files: readonly ModelFile[]): ModelFile[] {
  const gone = new Set<string>();
  const bytes = new Map<string, number>();
  for (const { path } of files) {
    if (!isShardIndex(path, SHARDED)) continue;
    const shards = namesIn(path);
    const sizes = shards?.map((shard) => statSync(shard, { throwIfNoEntry: false })?.size);
    // an index that leads nowhere is said to, where there is nothing else to read
    if (!shards || sizes?.includes(undefined)) {
      if (files.some(({ path: other }) => shardName(other) && dirname(other) === dirname(path)))
        gone.add(path);
      continue;
    }
    for (const shard of shards) gone.add(normalize(shard));
    bytes.set(
      path,
      (sizes as number[]).reduce((a, b) => a + b, 0),
    );
  }
  const first = new Map<string, ModelFile>();
  const joined: ModelFile[] = [];
  for (const file of files) {
    if (gone.has(file.path) || gone.has(normalize(file.path))) continue;
    const size = bytes.get(file.path);
    const named = { ...file, ...(size !== undefined && { bytes: size }) };
    const shard = SHARDED.some((extension) => file.path.toLowerCase().endsWith(extension))
      ? shardName(file.path)
      : undefined;
    if (!shard) {
      joined.push(named);
      continue;
    }
    const key = normalize(shard.nameOf(0));
    const known = first.get(key);
    const fileBytes = statSync(file.path, { throwIfNoEntry: false })?.size ?? 0;
    if (known) known.bytes = (known.bytes ?? 0) + fileBytes;
    else {
      const model = { ...named, bytes: fileBytes };
      first.set(key, model);
      joined.push(model);
    }
  }
  return joined;
}

/** Paths of the files that an index names; undefined for an index that is damaged or leads out of its folder. */
function namesIn(path: string): string[] | undefined {
  let source: ReturnType<typeof openSource> | undefined;
  try {
    source = openSource(path);
    const names = shardsOfIndex(source);
    return names.some((name) => /^[\\/]|\.\./.test(name))
      ? undefined
      : names.map((name) => join(dirname(path), name));
  } catch (error) {
    if (error instanceof DwpError) return undefined;
    throw error;
  } finally {
    source?.close();
  }
}
