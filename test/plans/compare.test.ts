// Plans, their tables and the sentence that says what was seen.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { comparisonRows, conclusion, runPlan } from '../../src/plans/compare.js';
import { makePlan } from '../../src/plans/plan.js';
import { readRunConfig } from '../../src/runs/config-file.js';
import type { RunSummary } from '../../src/runs/summary.js';

const summary = (
  prior: string,
  examples: number,
  split: number,
  accuracy: number,
  nll: number,
): RunSummary => ({
  prior,
  init: 'prior',
  examples,
  split,
  judgedOn: 'test',
  test: { accuracy, nll, ece: 0.1, brier: 0.2, examples: 10_000 },
  ensemble: [],
  reliability: [],
  steps: 10,
  seconds: 1,
});

describe('comparison', () => {
  const rows = comparisonRows([
    { label: 'deep', summary: summary('dwp', 100, 0, 0.9, 0.3) },
    { label: 'deep', summary: summary('dwp', 100, 1, 0.8, 0.5) },
    { label: 'none', summary: summary('none', 100, 0, 0.82, 0.35) },
    { label: 'none', summary: summary('none', 100, 1, 0.86, 0.37) },
  ]);

  test('mean and standard deviation over splits', () => {
    expect(rows).toHaveLength(2);
    expect(rows[0].accuracy.mean).toBeCloseTo(0.85, 12);
    expect(rows[0].accuracy.std).toBeCloseTo(Math.sqrt(0.005), 12); // (0.05² + 0.05²) / (2 − 1)
    expect(rows[1].accuracy.values).toEqual([0.82, 0.86]);
    expect(rows[0].bound).toBeUndefined(); // not all runs have one
    const total = { total: -50, expectedLogLikelihood: -10, priorTerm: 100, entropyTerm: -140 };
    const bounded = {
      ...summary('dwp', 100, 0, 0.9, 0.3),
      bound: { ...total, innerGap: 0, standardError: 1, draws: 2 },
    };
    expect(comparisonRows([{ label: 'deep', summary: bounded }])[0].bound?.mean).toBe(-50);
  });

  test('the sentence names both sides, and a loss is called one', () => {
    expect(conclusion(rows)).toBe(
      'With 100 examples (mean of 2 splits), deep got 85.0% of the images right, 1.0 points more than the best of ' +
        'the others (none, 84.0%), and its negative log-likelihood of 0.400 nats is 0.040 higher than theirs (none, 0.360).',
    );
    expect(conclusion([rows[1], rows[0]])).toContain('1.0 points fewer');
    expect(conclusion([rows[0]])).toBe('');
    const more = rows.map((row) => ({ ...row, examples: 200 }));
    expect(conclusion([...rows, ...more.reverse()])).toBe(
      'Against the best of the others, deep differs in accuracy and negative log-likelihood by +1.0 points and +0.040 ' +
        'nats with 100 examples, −1.0 points and −0.040 nats with 200 examples (mean of 2 splits).',
    );
  });
});

describe('plan', () => {
  const plan = {
    methods: [
      { label: 'A b', prior: 'none' },
      { label: 'c', steps: 7 },
    ],
    examples: [50, 100],
    splits: [0, 1],
  };

  test('is the grid of methods, sizes and splits, with paths relative to the plan', () => {
    const { runs } = makePlan(
      { ...plan, base: { dataDir: 'd', priorPath: ['p'], steps: 5 } },
      'plan',
      '/plans',
    );
    expect(runs.map(({ name }) => name)).toEqual([
      'a-b-50-0',
      'a-b-50-1',
      'a-b-100-0',
      'a-b-100-1',
      'c-50-0',
      'c-50-1',
      'c-100-0',
      'c-100-1',
    ]);
    expect(runs[0].config).toMatchObject({
      prior: 'none',
      steps: 5,
      examples: 50,
      split: 0,
      dataDir: '/plans/d',
      priorPath: ['/plans/p'],
    });
    expect(runs[7].config).toMatchObject({ prior: 'dwp', steps: 7, examples: 100, split: 1 });
  });

  test.each([
    ['an unknown option', { ...plan, base: { stepz: 5 } }, /method "A b".*stepz/],
    ['a wrong value', { ...plan, base: { steps: 0 } }, /steps 0: must be at least 1/],
    [
      'two methods of one name',
      { ...plan, methods: [{ label: 'x' }, { label: 'x' }] },
      /"x" is listed twice/,
    ],
    ['a split that is listed twice', { ...plan, splits: [1, 1] }, /1 is listed twice in splits/],
    [
      'more runs than the limit',
      { ...plan, examples: [...Array(100).keys()].map((n) => n + 1), splits: [...Array(5000).keys()] },
      /2 methods × 100 numbers of examples × 5000 splits are 1000000 runs, more than the limit of 10000/,
    ],
    ['no methods', { ...plan, methods: [] }, /at least one method/],
    ['an unknown key', { ...plan, split: [1] }, /split/],
  ])('%s is refused', (_, raw, message) => {
    expect(() => makePlan(raw, 'plan', '.')).toThrow(message);
  });
});

test('labels that differ have folders that differ, and a method more changes no name', () => {
  const labels = ['N(0, 1)', 'N(0 1)', '日本語', '中国語', 'x', 'X', '!'];
  const names = (some: string[]) =>
    makePlan({ methods: some.map((label) => ({ label })), examples: [9], splits: [0] }, 'p', '.').runs.map(
      ({ name }) => name,
    );
  const all = names(labels);
  expect(new Set(all.map((name) => name.toLowerCase())).size).toBe(labels.length);
  expect(all.filter((name) => /[^\p{L}\p{N}-]/u.test(name))).toEqual([]);
  expect(all.slice(2, 5)).toEqual(['日本語-9-0', '中国語-9-0', 'x-9-0']);
  expect(names(labels.slice(0, 6))).toEqual(all.slice(0, 6));
});

describe('the last of several methods is checked before the first run', () => {
  const base = { channels: [2, 3], steps: 2, batch: 10, threads: 1, components: 1 };
  test.each<[string, object, RegExp]>([
    [
      'a prior that is missing',
      { prior: 'fitted', priorPath: ['nowhere'] },
      /^method "bad", 10 examples: .*nowhere/,
    ],
    ['more validation images than are left', { validation: 59_999 }, /^method "bad".*59999/],
    [
      'options that exclude each other',
      { densePrior: 'normal', denseDecay: 1 },
      /^method "bad".*--dense-prior/,
    ],
    ['a rate of what is not learned', { encoderLearningRate: 0.1 }, /^method "bad".*--encoder/],
    ['data that are not there', { data: 'x', dataDir: 'nowhere' }, /^method "bad".*nowhere/],
  ])('%s', async (_, method, message) => {
    const folder = mkdtempSync(join(tmpdir(), 'dwp-plan-'));
    try {
      const methods = [
        { label: 'good', prior: 'none' },
        { label: 'bad', prior: 'standard-normal', ...method },
      ];
      const plan = makePlan({ base, methods, examples: [10], splits: [0] }, 'plan', folder);
      await expect(runPlan(plan, folder)).rejects.toThrow(message);
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('more examples than there are', async () => {
    const plan = makePlan(
      { base, methods: [{ label: 'x', prior: 'none' }], examples: [10, 70_000], splits: [0] },
      'p',
      '.',
    );
    await expect(runPlan(plan, join(tmpdir(), 'dwp-never'))).rejects.toThrow(/^method "x", 70000 examples/);
  });
});

test('a plan that is carried out again keeps its runs, what it leaves to defaults included', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dwp-plan-'));
  try {
    const base = { prior: 'none', channels: [2, 3], validation: 20, steps: 2, batch: 10, threads: 1 };
    const plan = makePlan(
      { base, methods: [{ label: 'x', prior: 'none' }], examples: [10], splits: [100] },
      'plan',
      folder,
    );
    const [{ path, summary }] = await runPlan(plan, folder);
    expect(readRunConfig(path).components).toBe(10);
    expect(await runPlan(plan, folder)).toEqual([{ path, label: 'x', summary }]);
    const other = { ...plan, runs: [{ ...plan.runs[0], config: { ...plan.runs[0].config, components: 2 } }] };
    await expect(runPlan(other, folder)).rejects.toThrow(/made with a configuration that differs/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
