// HDF5 files that point at other files of the disk: nothing of those is read.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadModel } from './loaded.js';
import { hdf5File, writeWeight } from './write-models.js';

test('an external link of HDF5 leads nowhere', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dwp-links-'));
  try {
    const other = join(folder, 'other.h5');
    writeFileSync(other, await hdf5File((file) => writeWeight(file, 'secret/kernel:0', [3, 3, 2, 4])));
    const path = join(folder, 'm.h5');
    const linking = await hdf5File((file) => {
      writeWeight(file, 'own/kernel:0', [3, 3, 2, 4]);
      file.create_external_link(other, '/secret', 'stolen');
    });
    writeFileSync(path, linking);
    const { layers } = await loadModel(path);
    expect(layers.map(({ name }) => name)).toEqual(['own']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
