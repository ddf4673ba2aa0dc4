// dwp export of priors and into networks, and dwp import-prior, as processes: out, back, and into a training.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isotropicNormal } from '../../src/priors/index.js';
import { randomVae } from '../train/tiny.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp } from './run.js';

const NETWORK = fileURLToPath(new URL('../../pretrained/lenet-00.onnx', import.meta.url));
let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-interchange-'));
  for (const k of [7, 5]) writeTestPrior(at(`vae-${k}`), randomVae({ h: k, w: k }));
  writeTestPrior(at('normal-5'), isotropicNormal({ h: 5, w: 5 }, { std: 0.2 }, 0.2));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function json(...args: string[]) {
  const { code, out, err } = await dwp(...args, '--threads', '1', '--format', 'json');
  expect(code, err).toBe(0);
  return JSON.parse(out); // exactly one document, or this throws
}

test('priors go out and come back, and a network trains with them', async () => {
  for (const k of [7, 5]) {
    const exported = await json('export', at(`vae-${k}`), '--onnx', at(`onnx-${k}`));
    expect(exported).toMatchObject({ kind: 'prior', family: 'vae-pixels', size: { h: k, w: k } });
    expect(readdirSync(at(`onnx-${k}`)).sort()).toEqual(
      [
        'kernel-prior.json',
        ...Object.values<{ file: string }>(exported.graphs).map(({ file }) => file),
      ].sort(),
    );
    const imported = await json('import-prior', at(`onnx-${k}`), '--out', at(`back-${k}`), '--samples', '5');
    expect(imported).toMatchObject({ size: `${k}x${k}`, judgedOn: 'its own samples', test: { n: 100 } });
  }
  for (const prior of ['vae', 'back'])
    await json('sample-prior', at(`${prior}-5`), '-n', '30', '--out', at(`${prior}.npy`));
  const densities = await Promise.all(
    ['vae', 'back'].map((prior) => json('eval-prior', at(`${prior}-5`), '--kernels', at('vae.npy'))),
  );
  expect(Math.abs(densities[0].bound - densities[1].bound)).toBeLessThan(1e-3);
  const run = await json(
    ...[
      'train',
      '--examples',
      '20',
      '--channels',
      '3',
      '4',
      '--steps',
      '20',
      '--batch',
      '10',
      '--samples',
      '2',
    ],
    ...['--prior', 'dwp', '--prior-path', at('back-7'), at('back-5'), '--out', at('run')],
  );
  expect(run).toMatchObject({ prior: 'dwp', init: 'samples' });
  expect(Number.isFinite(run.bound.total ?? run.test.accuracy)).toBe(true);
});

test('a network is given kernels of a prior; the input is kept, and what is left is told', async () => {
  const before = readFileSync(NETWORK);
  const args = ['export', '--init', NETWORK, '--prior', at('normal-5'), '--out'];
  const result = await json(...args, at('new.onnx'));
  expect(result.layers.map(({ from, reason }: Record<string, string>) => from ?? reason)).toEqual([
    'no prior of 7x7',
    at('normal-5'),
  ]);
  expect(readFileSync(at('new.onnx'))).toHaveLength(before.length);
  expect(readFileSync(NETWORK).equals(before)).toBe(true);
  const again = await dwp(...args, at('new.onnx'));
  expect(again).toMatchObject({ code: 2 });
  expect(again.err).toContain('exists already');
});

test.each([
  [['export'], 2, 'nothing to export'],
  [['export', 'PRIOR'], 2, 'nothing to write'],
  [['export', 'PRIOR', '--keras', 'OUT'], 2, 'is a prior'],
  [['export', '--init', NETWORK, '--out', 'OUT'], 2, '--init needs --prior'],
  [['export', 'PRIOR', '--onnx', 'OUT', '--prior', 'PRIOR'], 2, '--prior and --out need --init'],
  [['import-prior', 'PRIOR', '--out', 'OUT'], 3, 'no such file'],
])('%j is one line and writes nothing', async (args, code, message) => {
  const paths: Record<string, string> = { PRIOR: at('normal-5'), OUT: at('never') };
  const result = await dwp(...args.map((arg) => paths[arg] ?? arg));
  expect(result).toMatchObject({ code, out: '' });
  expect(result.err.trim().split('\n')).toHaveLength(1);
  expect(result.err).toContain(message);
  expect(existsSync(at('never'))).toBe(false);
});
