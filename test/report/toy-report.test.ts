// The page of dwp toy: well formed, escaped, the same for the same input.
import { expect, test } from 'vitest';
import { renderToyReport, type ToyReport } from '../../src/report/toy-report.js';
import type { MethodSummary, Spread } from '../../src/toy/summary.js';
import { checkWellFormed, find, HOSTILE, withText } from './checks.js';

const spread = (...values: number[]): Spread => ({
  mean: values.reduce((a, b) => a + b) / values.length,
  std: values.length > 1 ? 0.01 : null,
  values,
});

const method = (name: string, more: Partial<MethodSummary> = {}): MethodSummary & { runs: [] } => ({
  method: name,
  family: 'implicit',
  kl: null,
  klWidth: null,
  klByNeighbours: null,
  bias: null,
  squaredMmd: spread(0.001, 0.002),
  squaredMmdStandardError: 0.0004,
  ksLargest: spread(0.1),
  ksMean: spread(0.05),
  covarianceError: spread(0.2),
  nllOfOne: null,
  nllOfEnsemble: null,
  priorScale: null,
  stepMilliseconds: null,
  runs: [],
  ...more,
});

const about = {
  summary: 'a density',
  reference: { chains: 50, acceptance: 0.9, rHat: 1.001, effectiveSampleSize: 9000, seconds: 3 },
  logNormaliser: { value: -12.3, standardError: 0.01 },
};
const dots: [number, number][] = [
  [0, 0],
  [0.5, -0.25],
];

const input: ToyReport = {
  title: 'Toy',
  generated: '2026-01-01T00:00:00.000Z',
  command: 'dwp toy',
  sentences: ['plane: nearest is one'],
  seeds: 2,
  targets: [
    {
      ...about,
      name: 'plane',
      dimensions: 2,
      methods: [
        method('hmc'),
        method('one', { kl: spread(0.1, 0.2), klWidth: spread(0.1), bias: spread(-0.5) }),
      ],
      picture: {
        kind: 'plane',
        x: [-1, 1],
        y: [-1, 1],
        density: Array.from({ length: 64 }, (_, i) => Math.exp(-((((i % 8) - 3.5) / 2) ** 2))),
        panels: [
          { method: 'hmc', dots },
          { method: 'one', dots },
        ],
      },
    },
    {
      ...about,
      name: 'many',
      dimensions: 22,
      methods: [
        method('hmc', { nllOfOne: spread(0.31), nllOfEnsemble: spread(0.28), priorScale: spread(0.9) }),
      ],
      picture: { kind: 'covariance', x: [-1, 1], y: [-1, 1], panels: [{ method: 'hmc', dots }] },
    },
  ],
};

test('one page: tables, pictures, how to make it again', () => {
  const page = renderToyReport(input);
  checkWellFormed(page);
  expect(renderToyReport(input)).toBe(page);
  expect(page.match(/<svg/g)).toHaveLength(3);
  expect(page).toContain('M85.0,85.0h0'); // the dot in the middle
  expect(page).toContain('0.10 … 0.20');
  expect(page).toContain('−0.500');
  expect(page).toContain('log ∫ p̃ = -12.30');
  expect(page).not.toMatch(/NaN|undefined/);
});

test('text is text', () => {
  const page = renderToyReport({
    ...withText(input, HOSTILE),
    targets: input.targets.map((target) => ({ ...target, name: HOSTILE })),
  });
  checkWellFormed(page);
  expect(find(page, '<script')).toBeUndefined();
  expect(find(page, '<img src=x')).toBeUndefined();
});
