// Damage to the bytes of a model: what a bad disk, a bad copy and a bad person would do to any format.
import { EVIL_INTEGERS, EVIL_NAMES, type HostileModel, type Random } from './model.js';
import { joined, unzip, type ZipEntry, zip } from './zip.js';

const LARGEST = 2 ** 18;

/**
 * One to eight changes, in the file or in one of its siblings. Entries of a zip archive are changed inside, so that
 * the damage gets past its checksums.
 *
 * @param others whose bytes may be spliced in
 * @param words text that matters to the format
 */
export function mutate(
  model: HostileModel,
  random: Random,
  others: readonly HostileModel[],
  words: readonly string[],
): HostileModel {
  const siblings = Object.entries(model.siblings ?? {});
  const other = random.pick(others);
  if (siblings.length > 0 && random.below(4) === 0) {
    const at = random.below(siblings.length);
    const [name, bytes] = siblings[at];
    if (random.below(8) === 0) siblings.splice(at, 1);
    else siblings[at] = [name, mutateBytes(bytes, random, other.bytes, words)];
    return { ...model, siblings: Object.fromEntries(siblings) };
  }
  const entries = random.below(4) === 0 ? undefined : unzip(model.bytes);
  if (!entries?.length) return { ...model, bytes: mutateBytes(model.bytes, random, other.bytes, words) };
  return { ...model, bytes: zip(mutateEntries(entries, random, other, words)) };
}

function mutateEntries(
  entries: readonly ZipEntry[],
  random: Random,
  other: HostileModel,
  words: readonly string[],
): ZipEntry[] {
  const changed = [...entries];
  const at = random.below(changed.length);
  const entry = changed[at];
  switch (random.below(10)) {
    case 0:
      changed.splice(at, 1);
      break;
    case 1:
      changed.push({ ...entry, name: random.below(2) ? entry.name : random.pick(EVIL_NAMES) });
      break;
    case 2: {
      const field = random.pick(['size', 'packedSize', 'crc', 'method', 'flags', 'offset'] as const);
      changed[at] = { ...entry, lies: { [field]: Number(random.pick(EVIL_INTEGERS) & 0xffffffffn) } };
      break;
    }
    case 3:
      changed[at] = { ...entry, bytes: random.pick(changed).bytes };
      break;
    default:
      changed[at] = { ...entry, bytes: mutateBytes(entry.bytes, random, other.bytes, words) };
  }
  return changed;
}

export function mutateBytes(
  bytes: Uint8Array,
  random: Random,
  other: Uint8Array,
  words: readonly string[],
): Uint8Array {
  let result = new Uint8Array(bytes);
  for (let left = 1 + random.below(random.pick([1, 2, 4, 8])); left > 0; left--)
    result = change(result, random, other, words);
  return result.length > LARGEST + bytes.length ? result.subarray(0, LARGEST + bytes.length) : result;
}

function change(
  bytes: Uint8Array<ArrayBuffer>,
  random: Random,
  other: Uint8Array,
  words: readonly string[],
): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return Uint8Array.from({ length: random.below(16) }, () => random.bits());
  // headers and trailers decide more than what lies between: half of all changes go there
  const edge = Math.min(bytes.length, 512);
  const at = random.pick([
    random.below(bytes.length),
    random.below(bytes.length),
    random.below(edge),
    bytes.length - 1 - random.below(edge),
  ]);
  const length = 1 + random.below(Math.min(bytes.length - at, random.pick([4, 16, 256, 65536])));
  switch (random.below(12)) {
    case 0:
      bytes[at] ^= 1 << random.below(8);
      return bytes;
    case 1:
      bytes[at] = random.bits();
      return bytes;
    case 2:
    case 3:
    case 4: {
      const width = random.pick([1, 2, 4, 8]);
      const start = random.below(2) ? at - (at % width) : at;
      if (start + width > bytes.length) return bytes;
      const view = new DataView(bytes.buffer);
      const little = random.below(4) > 0;
      const near = random.below(4) === 0; // a number a little off
      const old = width === 8 ? view.getBigUint64(start, little) : 0n;
      const value = near && width === 8 ? old + BigInt(random.below(5) - 2) : random.pick(EVIL_INTEGERS);
      if (width === 1) bytes[start] = Number(value & 0xffn);
      else if (width === 2) view.setUint16(start, Number(value & 0xffffn), little);
      else if (width === 4) view.setUint32(start, Number(value & 0xffffffffn), little);
      else view.setBigUint64(start, BigInt.asUintN(64, value), little);
      return bytes;
    }
    case 5:
      return bytes.slice(0, at);
    case 6:
      return joined(bytes.subarray(0, at), bytes.subarray(at + length));
    case 7:
      return joined(bytes.subarray(0, at + length), bytes.subarray(at));
    case 8:
      bytes.copyWithin(random.below(bytes.length), at, at + length);
      return bytes;
    case 9: {
      const from = random.below(other.length);
      const piece = other.subarray(from, from + length);
      return random.below(2)
        ? joined(bytes.subarray(0, at), piece, bytes.subarray(Math.min(bytes.length, at + piece.length)))
        : joined(bytes.subarray(0, at), piece, bytes.subarray(at));
    }
    case 10:
      return changeNumber(bytes, at, random);
    default: {
      const word = new TextEncoder().encode(random.pick(random.below(2) ? words : EVIL_NAMES));
      return joined(bytes.subarray(0, at), word, bytes.subarray(at + (random.below(2) ? word.length : 0)));
    }
  }
}

/** Another number where the next one in decimal digits stands, as in JSON or a header of NumPy. */
function changeNumber(bytes: Uint8Array<ArrayBuffer>, at: number, random: Random): Uint8Array<ArrayBuffer> {
  const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
  while (at < bytes.length && !isDigit(bytes[at])) at++;
  let end = at;
  while (end < bytes.length && isDigit(bytes[end])) end++;
  const number = random.pick([
    String(random.pick(EVIL_INTEGERS)),
    '1e308',
    '1.5',
    '-0',
    '007',
    '9'.repeat(40),
  ]);
  return joined(bytes.subarray(0, at), new TextEncoder().encode(number), bytes.subarray(end));
}
