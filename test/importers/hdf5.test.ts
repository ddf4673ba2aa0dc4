// The two readers of HDF5 say the same, and hostile files end as input errors within bounds.
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { File, Group } from 'h5wasm';
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { toFloat32 } from '../../src/formats/floats.js';
import { memorySource } from '../../src/formats/source.js';
import { type Hdf5Reader, openHdf5 } from '../../src/importers/hdf5.js';
import { kerasHdf5 } from '../../src/importers/keras-hdf5.js';
import { loadBytes } from './loaded.js';
import { hdf5File, ramp, writeWeight } from './write-models.js';

const read = (bytes: Uint8Array) => loadBytes(kerasHdf5, bytes, 'model.h5');

/** Which library has read the structure. */
async function readerOf(bytes: Uint8Array) {
  const file = await openHdf5(memorySource(bytes, 'model.h5'));
  file.close();
  return file.reader;
}

const group = (file: File, path: string) => file.get(path) as Group;

const sources = new URL('../../src/importers/', import.meta.url);
const folder = new URL('../fixtures/keras/', import.meta.url);
const fixtures = readdirSync(folder).filter((name) => /(h5|hdf5)\.gz$/.test(name));
const fixture = (name: string) => new Uint8Array(gunzipSync(readFileSync(new URL(name, folder))));

/** A small model with text attributes and every kind of storage that jsfive reads. */
const plain = () =>
  hdf5File((file) => {
    writeWeight(file, 'conv/kernel:0', [3, 2, 2, 4]);
    group(file, 'conv').create_dataset({
      name: 'packed:0',
      data: ramp([4, 4, 3, 5], 0.5),
      shape: [4, 4, 3, 5],
      chunks: [3, 2, 2, 4],
      compression: 'gzip',
    });
    file.create_attribute('layer_names', ['conv']);
    group(file, 'conv').create_attribute('weight_names', ['kernel:0']);
  });

describe('readers', () => {
  // those by Keras and h5py; what the others hold is not for jsfive
  const notForJsfive = ['latest.h5.gz'];
  test.each(fixtures)('%s: jsfive and the library say the same', async (name) => {
    const bytes = fixture(name);
    const wanted = notForJsfive.includes(name) ? 'h5wasm' : 'jsfive';
    expect(await readerOf(bytes)).toBe(wanted);
    if (wanted === 'h5wasm') return;
    // modules of the worker, here without one
    const { openStrictly } = await import(new URL('hdf5-strict.mjs', sources).href);
    const { openByLibrary } = await import(new URL('hdf5-library.mjs', sources).href);
    const strict: Hdf5Reader = openStrictly(bytes.slice().buffer);
    const fetch = (offset: number, target: Uint8Array) =>
      target.set(bytes.subarray(offset, offset + target.length));
    const library: Hdf5Reader = openByLibrary(fetch, bytes.length);
    const bare = ({ attributes, datasets }: Hdf5Reader['tree']) => ({
      attributes,
      datasets: Object.fromEntries(datasets.map(({ path, shape, dtype }) => [path, { shape, dtype }])),
    });
    expect(bare(strict.tree)).toEqual(bare(library.tree));
    let kernels = 0;
    for (const { path, shape, dtype } of strict.tree.datasets) {
      if (shape.length !== 4 || !dtype) continue;
      const [ours, theirs] = [strict.values(path), library.values(path)];
      expect(toFloat32(ours.bytes, ours.dtype)).toEqual(toFloat32(theirs.bytes, theirs.dtype));
      kernels++;
    }
    expect(kernels).toBeGreaterThan(1);
    library.close();
  });

  test('a soft link, which jsfive does not tell from a missing object, goes to the library', async () => {
    const bytes = await hdf5File((file) => {
      writeWeight(file, 'conv/kernel:0', [3, 2, 2, 4]);
      file.create_soft_link('/conv', 'again');
      file.create_soft_link('/nowhere', 'lost');
    });
    expect(await readerOf(bytes)).toBe('h5wasm');
    expect((await read(bytes)).layers).toHaveLength(1); // one storage, one layer
  });

  test('chunks that were never written are fill values, not holes', async () => {
    const bytes = await hdf5File((file) => {
      const conv = file.create_group('conv');
      const options = { data: ramp([1]), shape: [1, 1, 1, 1], chunks: [1, 1, 1, 1] };
      conv.create_dataset({ name: 'kernel:0', ...options, maxshape: [null, null, null, null] });
      const dataset = file.get('conv/kernel:0')!;
      if ('resize' in dataset) dataset.resize([2, 2, 1, 1]);
    });
    expect([...(await read(bytes)).layers[0].data]).toEqual([1, 0, 0, 0]);
  });
});

test('weights with two names are counted once; a named weight that is absent is told', async () => {
  const bytes = await hdf5File((file) => {
    writeWeight(file, 'first/kernel:0', [3, 2, 2, 4]);
    file.create_group('second');
    file.create_hard_link('/first/kernel:0', '/second/kernel:0');
    file.create_attribute('layer_names', ['first', 'second', 'third']);
    group(file, 'first').create_attribute('weight_names', ['kernel:0']);
    group(file, 'second').create_attribute('weight_names', ['kernel:0']);
    file.create_group('third').create_attribute('weight_names', ['kernel:0']);
  });
  const { layers, skipped } = await read(bytes);
  expect(layers.map(({ name }) => name)).toEqual(['first']);
  expect(skipped).toEqual([{ layer: 'third', reason: 'its weight "kernel" is not in the file' }]);
});

describe('hostile files', () => {
  test('groups that contain each other', async () => {
    const bytes = await hdf5File((file) => {
      writeWeight(file, 'a/b/conv/kernel:0', [3, 2, 2, 4]);
      for (const name of ['up', 'top', 'again']) file.create_hard_link('/a', `/a/b/${name}`);
      file.create_soft_link('/a/b', '/a/soft');
    });
    expect((await read(bytes)).layers.map(({ name }) => name)).toEqual(['a/b/conv']);
  });

  test('groups nested too deep', async () => {
    const bytes = await hdf5File((file) => writeWeight(file, `${'g/'.repeat(40)}kernel:0`, [3, 2, 2, 4]));
    await expect(read(bytes)).rejects.toThrow(/^model\.h5: not a complete HDF5 file \(groups nested deeper/);
  });

  // found by fuzzing: the library never ends with it
  test('a library that loops is ended, and the next file is read', async () => {
    const bytes = fixture('../hostile/library-loops.h5.gz');
    await expect(read(bytes)).rejects.toThrow('model.h5: not a complete HDF5 file (not read within 2 s)');
    expect((await read(await plain())).layers).toHaveLength(1);
  }, 60_000);

  test.each([
    ['by jsfive', () => fixture('keras1-th.h5.gz')],
    ['by jsfive, chunks', () => fixture('gzip.h5.gz')],
    ['by the library', plain],
  ])(
    'bytes that are changed, %s: an input error or a model, never another error',
    async (_, make) => {
      const bytes = await make();
      const change = fc.record({
        at: fc.nat(bytes.length - 9),
        value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
        length: fc.constantFrom(1, 1, 4, 8),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 30 }), async (changes) => {
          const damaged = bytes.slice();
          for (const { at, value, length } of changes) damaged.fill(value, at, at + length);
          try {
            await read(damaged);
          } catch (error) {
            if (!(error instanceof DwpError && error.code === 'INPUT')) throw error;
          }
        }),
        { seed: 20, numRuns: 40 },
      );
    },
    60_000,
  );
});
