// compare-priors as a real process: beside fit-prior of the same seed, which families are left out, and how it ends.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readPriorFolder } from '../../src/experiment/prior-folder.js';
import { writeNpy } from '../../src/formats/npy.js';
import { normal } from '../engine/reference.js';
import { dwp, startDwp } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-compare-priors-'));
  // a common part for all pixels, so that covariances count
  const [own, common] = [normal(220, 400, 9).data, normal(221, 400).data];
  const data = Float32Array.from(own, (x, i) => 0.1 * (x + 2 * common[Math.floor(i / 9)]));
  writeNpy(at('kernels.npy'), { shape: [400, 3, 3], data });
  writeNpy(at('few.npy'), { shape: [26, 5, 5], data: data.slice(0, 650) });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const FAMILIES = ['standard-normal', 'normal', 'gaussian', 'vae-pixels'];
const compareArgs = (...more: string[]) => [
  ...['compare-priors', at('kernels.npy'), '--families', ...FAMILIES, '--steps', '40'],
  ...more,
];

async function json(...args: string[]) {
  const { code, out, err } = await dwp(...args, '--format', 'json');
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

test('each row is what fit-prior with its seed says, and the priors that are kept are its folders', async () => {
  const compared = await json(...compareArgs('--seeds', '3', '4', '--out', at('compared')));
  expect(compared).toMatchObject({
    ...{ size: '3x3', seeds: [3, 4], samples: 200, kernels: { train: 320, test: 80 }, skipped: [] },
  });
  type Row = (typeof compared.rows)[number];
  const row = (name: string): Row => compared.rows.find((each: Row) => each.name === name);
  expect(compared.rows.map(({ nats }: Row) => nats)).toEqual(
    [...compared.rows.map(({ nats }: Row) => nats)].sort((a, b) => b - a),
  );
  expect(compared.rows).toHaveLength(FAMILIES.length);
  expect(compared.rows[0].name).not.toMatch(/normal/);
  expect(FAMILIES.map((name) => row(name).kind)).toEqual(['exact', 'exact', 'exact', 'bound']);
  expect(FAMILIES.slice(0, 3).map((name) => row(name).parameters)).toEqual([0, 1, 9 + 45]);

  const fitted = await json(
    ...['fit-prior', at('kernels.npy'), '--whitening', 'none', '--steps', '40', '--seed', '4'],
    ...['--out', at('fitted')],
  );
  const second = (name: string) => row(name).seeds[1];
  expect(second('vae-pixels')).toMatchObject({ seed: 4, test: fitted.test });
  expect(second('standard-normal').test).toEqual(fitted.baselines.standardNormal);
  expect(second('normal').test).toEqual(fitted.baselines.isotropic);
  expect(second('gaussian').test).toEqual(fitted.baselines.gaussian);

  // mean and standard error over the two seeds: |a − b| / 2
  const [a, b] = row('gaussian').seeds.map(({ test }: Row) => test.logDensity);
  expect(a).not.toBe(b); // another fifth is held out
  expect(row('gaussian').nats).toBeCloseTo((a + b) / 2, 9);
  expect(row('gaussian')).toMatchObject({ errorOver: 'seeds' });
  expect(row('gaussian').standardError).toBeCloseTo(Math.abs(a - b) / 2, 9);

  expect(readdirSync(at('compared')).sort()).toEqual(
    ['comparison.json', ...FAMILIES.flatMap((name) => [`${name}-3`, `${name}-4`])].sort(),
  );
  const read = (...names: string[]) => readFileSync(at(...names));
  expect(read('compared', 'vae-pixels-4', 'weights.safetensors')).toEqual(
    read('fitted', 'weights.safetensors'),
  );
  const { seconds, ...about } = readPriorFolder(at('compared', 'vae-pixels-4')).about;
  expect({ ...about, seconds: 0 }).toEqual({ ...readPriorFolder(at('fitted')).about, seconds: 0 });
  expect(seconds).toBeGreaterThan(0);
});

test('without --families, what the kernels do not allow is left out and said', async () => {
  const { code, out, err } = await dwp('compare-priors', at('few.npy'), '--steps', '2');
  expect(code, err).toBe(0);
  expect(out).toMatch(/^Left out: gaussian \(21 kernels cannot determine a 25×25 covariance\)\.$/m);
  expect(out).toMatch(/^Left out: flow \(/m);
  expect(out).toMatch(/^.+ \(best\) .*\d/m);
  expect(out).toMatch(/laplace +-?\d+\.\d ± \d+\.\d +exact +25 /);
  expect(out).toMatch(/vae-vamp +≥ -?\d+\.\d ± \d+\.\d +bound, K = 200/);
  expect(out).toContain('seed 0, ± the standard error over test kernels');
}, 240_000);

test.each([
  [['--families', 'gaussian'], 3, /21 kernels cannot determine/],
  [['--families', 'gauss'], 2, /--families/],
  [['--samples', '50'], 2, /--samples "50": must be at least 200/],
  [['--seeds', '1.5'], 2, /--seeds/],
  [['--size', '7x7'], 3, /7x7/],
])('%j is an error that writes nothing', async (args, expected, message) => {
  const { code, err } = await dwp('compare-priors', at('few.npy'), ...args, '--out', at('none'));
  expect(err).toMatch(message);
  expect(err.trim().split('\n')).toHaveLength(1);
  expect(code).toBe(expected);
  expect(readdirSync(folder).filter((name) => name.includes('none'))).toEqual([]);
});

test('Ctrl-C ends with 130 and leaves nothing', async () => {
  const run = startDwp(...compareArgs('--steps', '10000000', '--out', at('stopped'), '-v'));
  const begun = () => readdirSync(folder).some((name) => name.includes('stopped') && folderHas(name));
  const folderHas = (name: string) => existsSync(at(name, 'gaussian-0', 'prior.json'));
  for (let i = 0; i < 1200 && !begun(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(begun()).toBe(true);
  run.kill('SIGINT');
  const { code, err } = await run.ended;
  expect(code).toBe(130);
  expect(err).toMatch(/interrupted/);
  expect(readdirSync(folder).filter((name) => name.includes('stopped'))).toEqual([]);
});
