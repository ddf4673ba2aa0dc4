// Some hundreds of hostile models for every importer of the index, the same every time: `npm run fuzz` has more.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { openSource } from '../../src/formats/source.js';
import { importers } from '../../src/importers/index.js';
import type { HostileModel } from './hostile/model.js';
import { hostileArbitrary, hostileModels } from './hostile/sources.js';
import { layOut, type Survived, survive } from './hostile/survive.js';
import { keepThreads } from './hostile/threads.js';

keepThreads();
const FIXTURES = fileURLToPath(new URL('../fixtures', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'dwp-hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** In a folder that holds nothing else. */
async function read(importer: (typeof importers)[number], model: HostileModel): Promise<Survived> {
  const inside = join(folder, importer.format);
  mkdirSync(inside, { recursive: true });
  layOut(inside, model);
  const size = [model.bytes, ...Object.values(model.siblings ?? {})].reduce(
    (sum, { length }) => sum + length,
    0,
  );
  return survive(importer, openSource, join(inside, model.name), size);
}

/** Without the bytes of the counterexample, which are many: `fc.sample` gives them back. */
async function report({ failed, seed, counterexamplePath, errorInstance }: fc.RunDetails<[HostileModel]>) {
  if (failed) throw new Error(`input ${counterexamplePath} of seed ${seed}`, { cause: errorInstance });
}

describe.each(importers.map((importer) => [importer.format, importer] as const))('%s', (format, importer) => {
  test('some of the models that the others are made from are sound', async () => {
    const { seeds } = await hostileModels(importer, FIXTURES);
    let layers = 0;
    for (const seed of seeds) layers += (await read(importer, seed)).layers;
    expect(layers).toBeGreaterThan(0);
  });

  test('hostile models: all weights, or one plain line', async () => {
    const models = await hostileModels(importer, FIXTURES);
    await fc.assert(
      fc.asyncProperty(hostileArbitrary(models), async (model) => {
        await read(importer, model);
      }),
      { seed: 4, numRuns: /hdf5|keras/.test(format) ? 200 : 600, endOnFailure: true, asyncReporter: report },
    );
  });
});
