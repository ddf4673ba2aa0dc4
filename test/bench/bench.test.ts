// The parts of the benchmarks that decide what is reported: agreement, medians of rounds, the table.
import { describe, expect, test } from 'vitest';
import { disagreement } from '../../bench/agreement.js';
import type { CaseResult } from '../../bench/run-case.js';
import type { StartResult } from '../../bench/start.js';
import { median, ratioOf } from '../../bench/statistics.js';
import { attainableRate, fasterPeer, toMarkdown } from '../../bench/table.js';

describe('disagreement', () => {
  test('is the largest relative difference over all terms', () => {
    const ours = [100, -2, 50, 4].map((x) => [x]);
    const theirs = [100, -2, 50.5, 4.01].map((x) => [x]);
    expect(disagreement(ours, theirs)).toBeCloseTo(0.01, 12);
  });
  test('counts numbers that are missing or no numbers as infinite', () => {
    expect(disagreement([[1, 2]], [[1]])).toBe(Number.POSITIVE_INFINITY);
    expect(disagreement([], [])).toBe(Number.POSITIVE_INFINITY);
    expect(disagreement([[1]], [[Number.NaN]])).toBe(Number.POSITIVE_INFINITY);
    expect(disagreement([[Number.NaN]], [[1]])).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('rounds', () => {
  test('median of odd and even numbers of rounds', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });
  test('the ratio is that of the medians, the range that of single rounds', () => {
    expect(ratioOf([10, 20, 30], [10, 10, 60])).toEqual({ ratio: 2, range: [0.5, 2] });
  });
});

const result = (name: string, ms: Record<string, number>): CaseResult => ({
  name,
  title: `title of ${name}`,
  unit: 'step',
  gflop: 10,
  target: 0.8,
  rounds: Object.fromEntries(Object.entries(ms).map(([who, t]) => [who, [t]])),
  ms,
  ratios: Object.fromEntries(
    Object.entries(ms)
      .filter(([who]) => who !== 'dwp')
      .map(([who, t]) => [who, ratioOf([ms.dwp], [t])]),
  ),
  disagreement: {},
  what: {},
  busy: 0,
});

describe('table', () => {
  const products = result('matmul', { dwp: 100, torch: 50 }); // 200 GFLOP/s
  const step = result('step', { dwp: 200, torch: 400, jax: 250 }); // 50 GFLOP/s
  test('the attainable rate is the best of anybody', () => {
    expect(attainableRate([step, products])).toBeCloseTo(200, 9);
    expect(attainableRate([step])).toBeUndefined();
  });
  test('the comparison is with the faster peer', () => {
    expect(fasterPeer(step)).toBe('jax');
    expect(fasterPeer(result('alone', { dwp: 1 }))).toBeUndefined();
  });
  test('a row says times, ratio, target and share of the rate', () => {
    const [, , , row] = toMarkdown([products, step], ['torch', 'jax'], []).split('\n');
    expect(row).toBe(
      '| title of step, per step | 200 | 400 | 250 | 0.80 (0.80–0.80) | ≤ 0.8 | 10.0 | 50.0 (25%) |',
    );
  });
  test('a peer that was not timed leaves its cell empty', () => {
    expect(toMarkdown([result('step', { dwp: 200, jax: 100 })], ['torch', 'jax'], [])).toContain(
      '| 200 | n/a | 100 | 2.00',
    );
  });
  test('other processes that use the CPUs are mentioned', () => {
    expect(toMarkdown([step], [], [])).not.toContain('Rough');
    expect(toMarkdown([{ ...step, busy: 0.5 }], [], [])).toContain('(step 50%)');
  });
  test('process starts have a table of their own', () => {
    const start: StartResult = { name: 's', command: 'dwp --help', ms: 123.4, range: [99, 200], target: 150 };
    expect(toMarkdown([], [], [start])).toContain('| `dwp --help` | 123 | 99.0–200 | ≤ 150 |');
  });
});
