// compare-priors as a real process: beside fit-prior of the same seed, which families are left out, and how it ends.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { comparePriorsCommand } from '../../src/cli/commands/compare-priors.js';
import { writeNpy } from '../../src/formats/npy.js';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
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
  // whole filters whose second channel is the first: no stationary normal fits them
  const twice = Float32Array.from({ length: 40 * 18 }, (_, i) => data[9 * Math.floor(i / 18) + (i % 9)]);
  writeNpy(at('twice.npy'), { shape: [40, 2, 3, 3], data: twice });
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
    ...['fit-prior', at('kernels.npy'), '--family', 'vae-pixels', '--steps', '40', '--seed', '4'],
    ...['--out', at('fitted')],
  );
  const second = (name: string) => row(name).seeds[1];
  expect(second('vae-pixels')).toMatchObject({ seed: 4, test: fitted.test, bestStep: fitted.bestStep });
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
  const { code, out, err } = await dwp('compare-priors', at('twice.npy'), '--steps', '2');
  expect(code, err).toBe(0);
  expect(out).toMatch(
    /^Left out: correlated \(the 2 channels of the kernels are linearly dependent: .+\)\.$/m,
  );
  expect(out).toMatch(/^.+ \(best\) .*\d/m);
  expect(out).toMatch(/laplace +-?\d+\.\d ± \d+\.\d +exact +18 /);
  expect(out).toMatch(/vae-vamp +≥ +-?\d+\.\d ± \d+\.\d +bound, K = 200/);
  expect(out).toContain('seed 0, ± the standard error over test kernels');
});

test('a fit that its networks did not improve is said to be its start', () => {
  const report = { n: 80, samples: 200, standardError: 0.5 };
  const row = (label: string, nats: number, ...bestSteps: number[]) => ({
    ...{ name: 'vae', label, family: 'vae', config: {}, startsFrom: 'the mixture', nats, standardError: 0.5 },
    ...{ errorOver: 'seeds' as const, kind: 'bound' as const, parameters: 10, seconds: 1 },
    seeds: bestSteps.map((bestStep, seed) => ({
      ...{ seed, parameters: 10, seconds: 1, bestStep, test: report },
    })),
  });
  const kernels = { train: 320, test: 80 };
  const said = (seeds: number[]) => {
    const rows = [
      row('never', 12, ...seeds.map(() => 0)),
      row('once', 8.5, ...seeds),
      row('always', 7, ...seeds.map(() => 100)),
    ];
    return comparePriorsCommand
      .render({ dataset: 'made', size: '3x3', seeds, samples: 200, kernels, rows, skipped: [] })
      .split('\n');
  };
  expect(said([0, 1, 2]).slice(-2)).toEqual([
    'never: no step was better than its start, the mixture fitted before it; what is shown with seeds 0, 1, 2 is that start.',
    'once: no step was better than its start, the mixture fitted before it; what is shown with seed 0 is that start.',
  ]);
  expect(said([0]).at(-2)).toMatch(/; what is shown is that start\.$/);
  expect(said([0])[4]).toMatch(/^never \(best\) +vae +≥ 12\.0 ± 0\.5 /);
  expect(said([0])[5]).toMatch(/^once +vae +≥ +8\.5 ± 0\.5 /);
});

test.each([
  [['--families', 'normal', 'correlated'], 3, /channels of the kernels are linearly dependent/],
  [['--families', 'gauss'], 2, /--families/],
  [['--samples', '50'], 2, /--samples "50": must be at least 200/],
])('%j is an error that writes nothing', async (args, expected, message) => {
  const { code, err } = await dwp('compare-priors', at('twice.npy'), ...args, '--out', at('none'));
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
