// Weights of TensorFlow.js: a manifest of groups, each a list of weights that lie one behind the other in the files
// (shards) of the group, as if these were one. Only the shards that a weight lies in, and those before, are opened.
import { posix } from 'node:path';
import { inputError } from '../errors.js';
import { type FloatType, toFloat32 } from '../formats/floats.js';
import { sizeOf } from '../formats/shape.js';
import { type ByteSource, shown } from '../formats/source.js';
import { fieldsOf, listOf, textOf } from '../formats/untyped.js';

export interface StoredWeight {
  name: string;
  shape: number[];
  /** What the framework takes it for: `float32`, `int32`, … */
  type: string;
  /** How it is stored: `float32`, `float16`, `uint8`, … */
  dtype: string;
  /**
   * Makes sure that the file has all of it, and reads nothing.
   *
   * @returns a call that reads the bytes
   * @throws DwpError INPUT when a shard is missing or too short
   */
  open(): () => Uint8Array<ArrayBuffer>;
  /** Restores numbers of {@link StoredWeight.dtype} to float32, as the framework does. */
  decode(bytes: Uint8Array<ArrayBuffer>): Float32Array;
}

const BYTES: Readonly<Record<string, number>> = {
  ...{ bool: 1, uint8: 1, int8: 1, uint16: 2, int16: 2, float16: 2, bfloat16: 2 },
  ...{ int32: 4, uint32: 4, float32: 4, complex64: 8, int64: 8, float64: 8 },
};

const QUANTISED = new Set(['uint8', 'uint16', 'float16']);

const STEP = 2 ** 16;

/**
 * @param manifest the parsed JSON: `[{ paths, weights: [{ name, shape, dtype, quantization? }] }]`
 * @param source the file that it is in; its siblings are the shards
 * @returns every weight by its name, but those of an optimiser
 * @throws DwpError INPUT when an entry makes no sense
 */
export function readManifest(manifest: unknown, source: ByteSource): Map<string, StoredWeight> {
  const weights = new Map<string, StoredWeight>();
  const used = new Set<string>();
  for (const entry of listOf(manifest)) {
    const group = fieldsOf(entry);
    const paths = listOf(group.paths).map((path) => {
      const name = posix.normalize(textOf(path) ?? '');
      if (used.has(name)) throw damaged(source, `it names the file ${shown(name)} twice`);
      used.add(name);
      return name;
    });
    const shards = new Shards(source, paths);
    const offsets = new Offsets(shards);
    listOf(group.weights).forEach((item, index) => {
      const specification = fieldsOf(item);
      const weight = readWeight(specification, source);
      const { count, width } = weight;
      offsets.sizes.push(width === undefined ? { strings: count } : count * width);
      if (specification.group === 'optimizer') return;
      const open = () => {
        const offset = offsets.at(index);
        const length = count * (width ?? 0);
        shards.requireSize(offset + length, weight.name);
        return () => shards.read(offset, length);
      };
      weights.set(weight.name, { ...weight, open });
    });
  }
  return weights;
}

const damaged = ({ path }: ByteSource, why: string) =>
  inputError(`${path}: damaged: ${why}`, 'fetch or export it again');

/** @returns its number of items and their width in bytes, undefined for strings, which have none */
function readWeight(
  { name: given, shape: sizes, dtype: type, quantization: packing }: Readonly<Record<string, unknown>>,
  source: ByteSource,
): Omit<StoredWeight, 'open'> & { count: number; width: number | undefined } {
  const name = textOf(given);
  if (name === undefined) throw damaged(source, 'a weight without a name');
  const shape = listOf(sizes).filter((n): n is number => Number.isSafeInteger(n) && (n as number) >= 0);
  const count = sizeOf(shape);
  if (!Array.isArray(sizes) || shape.length < sizes.length || !Number.isSafeInteger(8 * count))
    throw damaged(source, `weight ${shown(name)} of no possible shape`);
  const quantised = packing !== undefined && packing !== null;
  const { dtype: packed, scale, min } = fieldsOf(packing);
  const dtype = quantised ? packed : type;
  if (typeof type !== 'string' || typeof dtype !== 'string')
    throw damaged(source, `weight ${shown(name)} of no type`);
  const width = Object.hasOwn(BYTES, dtype) ? BYTES[dtype] : undefined;
  const known = quantised ? QUANTISED.has(dtype) : width !== undefined || dtype === 'string';
  if (!known) throw damaged(source, `weight ${shown(name)} of the unknown type ${shown(dtype)}`);
  const scaled = dtype === 'uint8' || dtype === 'uint16';
  if (quantised && scaled && !(Number.isFinite(scale) && Number.isFinite(min)))
    throw damaged(source, `weight ${shown(name)} is quantised without a scale and a minimum`);
  const decode = (bytes: Uint8Array<ArrayBuffer>) => {
    if (!scaled) return toFloat32(bytes, dtype as FloatType);
    const stored = dtype === 'uint8' ? bytes : new Uint16Array(bytes.buffer);
    const result = new Float32Array(stored.length);
    for (let i = 0; i < stored.length; i++) result[i] = stored[i] * (scale as number) + (min as number);
    return result;
  };
  return { name, shape, type, dtype, count, width, decode };
}

/** The files of a group as one, opened in order, as far as needed. */
class Shards {
  private readonly opened: { start: number; source: ByteSource }[] = [];
  private size = 0;

  constructor(
    private readonly source: ByteSource,
    private readonly paths: readonly string[],
  ) {}

  private openNext(): boolean {
    if (this.opened.length === this.paths.length) return false;
    const shard = this.source.sibling(this.paths[this.opened.length]);
    this.opened.push({ start: this.size, source: shard });
    this.size += shard.size;
    return true;
  }

  requireSize(size: number, name: string): void {
    while (this.size < size)
      if (!this.openNext())
        throw damaged(this.source, `weight ${shown(name)} ends at byte ${size} of ${this.size} in its files`);
  }

  /** As many of the bytes as there are. */
  readUpTo(offset: number, length: number): Uint8Array<ArrayBuffer> {
    while (this.size < offset + length && this.openNext());
    return this.read(offset, Math.max(0, Math.min(length, this.size - offset)));
  }

  /** Of a range that has been made sure of. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    for (const { start, source } of this.opened) {
      const from = Math.max(offset, start);
      const to = Math.min(offset + length, start + source.size);
      if (from >= to) continue;
      const piece = source.read(from - start, to - from);
      if (piece.length === length) return piece;
      bytes.set(piece, from - offset);
    }
    return bytes;
  }
}

/** Where the weights of a group begin. Strings have to be walked through; so they are only when something follows. */
class Offsets {
  /** In bytes, or a number of strings. */
  readonly sizes: (number | { strings: number })[] = [];
  private readonly starts = [0];

  constructor(private readonly shards: Shards) {}

  at(index: number): number {
    while (this.starts.length <= index) {
      const start = this.starts.at(-1)!;
      const size = this.sizes[this.starts.length - 1];
      this.starts.push(typeof size === 'number' ? start + size : this.behind(start, size.strings));
    }
    return this.starts[index];
  }

  /** Every string is its length in four bytes, and itself. */
  private behind(start: number, strings: number): number {
    let blockStart = start;
    let block = new DataView(this.shards.readUpTo(start, STEP).buffer);
    let at = start;
    for (let i = 0; i < strings; i++) {
      if (at + 4 > blockStart + block.byteLength) {
        block = new DataView(this.shards.readUpTo(at, STEP).buffer);
        blockStart = at;
        this.shards.requireSize(at + 4, 'of strings');
      }
      at += 4 + block.getUint32(at - blockStart, true);
    }
    return at;
  }
}
