// A model that is cut into several files (shards): which files they are, by an index or by the numbers in their names.
import { DwpError, inputError } from '../errors.js';
import { type ByteSource, readJsonSource, shown } from '../formats/source.js';
import type { ModelLayers } from './layers.js';

const INDEX = '.index.json';
const MOST_SHARDS = 1000;
const MOST_INDEX_BYTES = 2 ** 26;

/** `model-00002-of-00006.safetensors`: the second of six. */
export interface ShardName {
  number: number;
  count: number;
  /** The name of the shard of another number. */
  nameOf(number: number): string;
}

/** @returns undefined for a name without such numbers, or with numbers that make no sense */
export function shardName(name: string): ShardName | undefined {
  const match = /^(.*-)(\d{5})(-of-)(\d{5})(\.[a-z]+)$/i.exec(name);
  if (!match) return undefined;
  const [, stem, digits, of, total, extension] = match;
  const [number, count] = [Number(digits), Number(total)];
  if (number < 1 || number > count || count > MOST_SHARDS) return undefined;
  const nameOf = (other: number) => `${stem}${String(other).padStart(5, '0')}${of}${total}${extension}`;
  return { number, count, nameOf };
}

/** Whether a name is `….bin.index.json` for one of the extensions, such as `.bin`. */
export const isShardIndex = (path: string, extensions: readonly string[]): boolean =>
  extensions.some((extension) => path.toLowerCase().endsWith(`${extension}${INDEX}`));

/** @throws DwpError INPUT when the index names no files, or files that are no shards of the model */
export function shardsOfIndex(index: ByteSource): string[] {
  const { path } = index;
  const extension = /(\.[^.]+)\.index\.json$/i.exec(path)?.[1].toLowerCase();
  const bad = (why: string) =>
    inputError(`${path}: not an index of a model's files (${why})`, 'fetch it again');
  const content = readJsonSource(index, MOST_INDEX_BYTES);
  const map =
    typeof content === 'object' && content !== null && 'weight_map' in content
      ? content.weight_map
      : undefined;
  if (typeof map !== 'object' || map === null) throw bad('no weight_map');
  const names = [...new Set<unknown>(Object.values(map))];
  if (names.length === 0 || names.length > MOST_SHARDS) throw bad(`${names.length} files`);
  return names.map((name) => {
    if (typeof name !== 'string') throw bad('a file name that is no text');
    if (!name.toLowerCase().endsWith(extension ?? '')) throw bad(`it names ${shown(name)}`);
    return name;
  });
}

/**
 * Every file of the model that `source` is a file or the index of: only the source itself where it is a whole model.
 *
 * @returns `missing` lists shards that are not beside the others
 * @throws DwpError INPUT when an index is damaged or one of its files cannot be opened
 */
export function openShards(
  source: ByteSource,
  extensions: readonly string[],
): { shards: ByteSource[]; missing: ModelLayers['skipped'] } {
  if (isShardIndex(source.path, extensions))
    return { shards: shardsOfIndex(source).map((name) => source.sibling(name)), missing: [] };
  const shard = shardName(source.path.split(/[\\/]/).at(-1)!);
  if (!shard) return { shards: [source], missing: [] };
  const shards: ByteSource[] = [];
  const missing: ModelLayers['skipped'] = [];
  for (let number = 1; number <= shard.count; number++) {
    if (number === shard.number) {
      shards.push(source);
      continue;
    }
    const name = shard.nameOf(number);
    try {
      shards.push(source.sibling(name));
    } catch (error) {
      if (!(error instanceof DwpError && error.code === 'INPUT')) throw error;
      const absent = /not beside it|no such file/.test(error.message);
      missing.push({
        layer: name,
        reason: absent ? `a file of the model that is missing (it has ${shard.count})` : error.message,
      });
    }
  }
  return { shards, missing };
}
