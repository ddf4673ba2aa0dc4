// compare-priors as a real process: beside fit-prior of the same seed, which families are left out, and how it ends.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { comparePriorsCommand } from '../../src/cli/commands/compare-priors.js';
import { writeNpy } from '../../src/formats/npy.js';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
import { normal } from '../engine/reference.js';
import { convModel } from '../importers/write-models.js';
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
  const second = (name: string) => row(name).fits[1];
  expect(second('vae-pixels')).toMatchObject({ seed: 4, test: fitted.test, bestStep: fitted.bestStep });
  expect(second('standard-normal').test).toEqual(fitted.baselines.standardNormal);
  expect(second('normal').test).toEqual(fitted.baselines.isotropic);
  expect(second('gaussian').test).toEqual(fitted.baselines.gaussian);

  // mean and standard error over the two seeds: |a − b| / 2
  const [a, b] = row('gaussian').fits.map(({ test }: Row) => test.logDensity);
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
    fits: bestSteps.map((bestStep, seed) => ({
      ...{ seed, nats, parameters: 10, seconds: 1, bestStep, test: report },
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
      .render({
        ...{ dataset: 'made', size: '3x3', holdOut: 'kernels', seeds, samples: 200, kernels, rows },
        skipped: [],
      })
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

describe('held-out networks', () => {
  const HELD = ['--hold-out', 'networks', '--families', 'normal', 'gaussian'];
  const std: Record<string, number> = { one: 0.1, two: 0.2, three: 0.4 };

  beforeAll(async () => {
    mkdirSync(at('models'));
    Object.entries(std).forEach(([name, s], i) => {
      const inputs = 2 + i;
      const data = normal(230 + i, 30 * inputs, 9).data.map((x) => s * x) as Float32Array;
      writeFileSync(at('models', `${name}.onnx`), convModel([30, inputs, 3, 3], data));
    });
    await json('collect-kernels', at('models'), '--out', at('networks'));
    const filters = normal(240, 80, 27).data;
    mkdirSync(at('colours'));
    for (const i of [0, 1])
      writeFileSync(
        at('colours', `${i}.onnx`),
        convModel([40, 3, 3, 3], filters.slice(i * 1080, (i + 1) * 1080) as Float32Array),
      );
    await json('collect-kernels', at('colours'), '--filters', '3', '--out', at('filters'));
  });

  test('each is judged by what is fitted to the others; densities are those of the weights in all units', async () => {
    const compared = async (...more: string[]) =>
      json('compare-priors', at('networks'), ...HELD, '--per-network', '60', ...more);
    const weights = await compared('--units', 'weights');
    expect(weights).toMatchObject({
      holdOut: 'networks',
      size: '3x3',
      networks: { units: 'weights', tooFew: [] },
    });
    expect(weights.networks.kernels).toHaveLength(3);
    const row = (from: typeof weights, name: string) =>
      from.rows.find((each: { name: string }) => each.name === name);
    const fitOf = (from: typeof weights, network: string) =>
      row(from, 'normal').fits.find((fit: { network: string }) => fit.network.includes(network));
    // N(0, s²) of the two others: E log p of the third, from the standard deviations that it was drawn with
    const expected = (s: number, others: number[]) => {
      const variance = others.reduce((sum, x) => sum + x * x, 0) / others.length;
      return -4.5 * Math.log(2 * Math.PI * variance) - (4.5 * s * s) / variance;
    };
    expect(Math.abs(fitOf(weights, 'one').nats - expected(0.1, [0.2, 0.4]))).toBeLessThan(0.5);
    expect(Math.abs(fitOf(weights, 'three').nats - expected(0.4, [0.1, 0.2]))).toBeLessThan(4);

    // the same in units of He's start, whose fan-ins differ, back in weights
    const he = await compared();
    expect(he.networks.units).toBe('he');
    const unit = (inputs: number) => Math.sqrt(2 / (9 * inputs));
    const inHe = expected(0.1 / unit(2), [0.2 / unit(3), 0.4 / unit(4)]) - 9 * Math.log(unit(2));
    expect(Math.abs(fitOf(he, 'one').nats - inHe)).toBeLessThan(0.5);
    expect(fitOf(he, 'one').test.logDensity).toBeCloseTo(fitOf(he, 'one').nats + 9 * Math.log(unit(2)), 5);
    expect(row(he, 'normal')).toMatchObject({ errorOver: 'networks' });

    // mean and paired difference over networks
    const [best, second] = he.rows;
    const differences = best.fits.map(({ nats }: { nats: number }, i: number) => nats - second.fits[i].nats);
    expect(second.behind.nats).toBeCloseTo(differences.reduce((a: number, b: number) => a + b) / 3, 9);
    expect(second.nats + second.behind.nats).toBeCloseTo(best.nats, 9);
  });

  test('the table says what was held out', async () => {
    const { code, out, err } = await dwp('compare-priors', at('networks'), ...HELD);
    expect(code, err).toBe(0);
    expect(out).toMatch(
      /^270 3x3 kernels of 3 networks, in units of He's start; each of the networks held out once;$/m,
    );
    expect(out).toMatch(/\(best\).*exact +\d+ +\d/);
    expect(out).toMatch(/exact +\d+\.\d\d ± \d+\.\d\d +\d+ /);
  });

  test('filters are judged whole, or as the sum of their slices', async () => {
    const args = ['compare-priors', at('filters'), '--hold-out', 'networks', '--families', 'normal'];
    const [whole, slices] = [await json(...args), await json(...args, '--slices')];
    expect(whole.networks.kernels.map(({ kernels }: { kernels: number }) => kernels)).toEqual([40, 40]);
    expect(slices.rows[0].fits[0].test.n).toBe(40);
    expect(slices.rows[0].nats).toBeCloseTo(whole.rows[0].nats, 3); // one isotropic normal is a product
  });

  test.each([
    [['--hold-out', 'sources'], 3, /enough kernels of 1 only/],
    [['--hold-out', 'networks', '--networks', 'four'], 3, /no network or source "four"/],
    [['--hold-out', 'networks', '--size', '5x5'], 3, /no kernels of 5x5/],
    [['--hold-out', 'networks', '--slices'], 2, /slices already/],
    [['--hold-out', 'networks', '--seeds', '0', '1'], 2, /takes one seed/],
    [['--hold-out', 'networks', '--out', 'kept'], 2, /--out cannot be used/],
    [['--units', 'he'], 2, /--units needs --hold-out networks/],
    [['--per-network', '20'], 2, /--per-network needs --hold-out networks/],
  ])('%j is an error of one line', async (args, expected, message) => {
    const { code, err } = await dwp('compare-priors', at('networks'), ...args);
    expect(err).toMatch(message);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(expected);
  });
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
