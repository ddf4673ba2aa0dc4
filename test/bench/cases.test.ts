// Every benchmark case runs once: our side always, each peer where a Python with it is installed. Peers must find our
// losses, as otherwise `npm run bench` does not time them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { disagreement, TOLERANCE } from '../../bench/agreement.js';
import type { Prepared } from '../../bench/case.js';
import { cases } from '../../bench/cases/index.js';
import { findPython, PEER_NAMES, startPeer } from '../../bench/peer.js';
import { createEngine } from '../../src/engine/index.js';
import { writeSafetensors } from '../../src/formats/safetensors.js';

const pythons = PEER_NAMES.map((name) => ({ name, python: findPython(name) }));
for (const { name, python } of pythons)
  if (!python) console.warn(`no Python with ${name} and numpy: the peers of ${name} are not tested`);

const folder = mkdtempSync(join(tmpdir(), 'dwp-bench-cases-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(cases)('$name', ({ name, peer, prepare }) => {
  const file = join(folder, `${name}.safetensors`);
  let prepared: Prepared;
  beforeAll(async () => {
    prepared = await prepare(await createEngine('native', 2));
    const { tensors, settings } = prepared.reference;
    writeSafetensors(file, tensors, { settings: JSON.stringify({ ...settings, peer }) });
  });
  afterAll(() => prepared?.release());

  test('we do a unit of work, and its losses are numbers', async () => {
    expect(await prepared.time(1)).toBeGreaterThan(0);
    expect(prepared.reference.losses.flat().filter((x) => !Number.isFinite(x))).toEqual([]);
  });

  test('peers get latent noise without the axis of draws', () => {
    const latent = Object.entries(prepared.reference.tensors).filter(([path]) => path.endsWith('.latent'));
    for (const [path, { shape }] of latent) expect(shape, path).toHaveLength(2);
    if (name.startsWith('lenet-vae')) expect(latent.length).toBeGreaterThan(0);
  });

  test.each(pythons.filter(({ python }) => python))('$name finds our losses', async (found) => {
    const contestant = await startPeer(found.name, found.python!, file, { threads: 2, clock: 'wall' });
    try {
      expect(disagreement(prepared.reference.losses, contestant.losses)).toBeLessThanOrEqual(TOLERANCE);
      expect(await contestant.run(1)).toBeGreaterThan(0);
    } finally {
      contestant.stop();
    }
  });
});
