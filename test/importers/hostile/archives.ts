// Hostile zip archives: as NumPy and Keras write them, with entries and fields that are made up.
import fc from 'fast-check';
import { EVIL_INTEGERS, type HostileModel } from './model.js';
import { evilName, mostly, npyBytes } from './text.js';
import { type ZipEntry, zip } from './zip.js';

const field = fc.constantFrom(...EVIL_INTEGERS.map((n) => Number(BigInt.asUintN(32, n))));
const lies: fc.Arbitrary<ZipEntry['lies']> = mostly(
  fc.constant({}),
  fc.record(
    {
      size: field,
      packedSize: field,
      crc: field,
      method: fc.constantFrom(0, 8, 9, 12, 14, 99),
      flags: fc.constantFrom(0, 1, 8, 9, 0x800, 0x2000, 0xffff),
      offset: field,
    },
    { requiredKeys: [] },
  ),
  8,
);

const archive = (file: string, names: readonly string[], content: fc.Arbitrary<Uint8Array>) =>
  fc
    .array(
      fc.record({
        name: mostly(fc.constantFrom(...names), evilName),
        bytes: mostly(content, fc.uint8Array({ maxLength: 100 })),
        deflate: fc.boolean(),
        lies,
      }),
      { maxLength: 5 },
    )
    .map((entries): HostileModel => ({ name: file, bytes: zip(entries.map(wellNamed)) }));

const wellNamed = (entry: ZipEntry): ZipEntry => ({ ...entry, name: entry.name.slice(0, 300) });

export const npz = archive('m.npz', ['conv.npy', 'a/b.npy', 'arr_0.npy', 'x'], npyBytes);

/** @param weights bytes of HDF5 files to stand for `model.weights.h5` */
export const kerasArchive = (weights: readonly Uint8Array[]): fc.Arbitrary<HostileModel> =>
  archive(
    'm.keras',
    ['model.weights.h5', 'model.weights.h5', 'config.json', 'metadata.json'],
    fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom(...weights) },
      {
        weight: 1,
        arbitrary: fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value))),
      },
    ),
  );
