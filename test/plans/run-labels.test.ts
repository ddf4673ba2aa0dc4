// Labels of runs in a report: equal for equal settings, and different where means must not be taken together.
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { runLabels } from '../../src/plans/run-labels.js';
import { parseRunConfig } from '../../src/runs/config.js';

const run = (settings: Record<string, unknown>, plain = 'fitted (from samples)') => ({
  plain,
  config: parseRunConfig({ prior: 'fitted', ...settings }),
});

test('splits, examples and steps of one method share a label', () => {
  const runs = [{ split: 0 }, { split: 1, threads: 2 }, { examples: 50, steps: 71 }];
  expect(runLabels(runs.map((settings) => run(settings)))).toEqual(Array(3).fill('fitted (from samples)'));
});

test('runs of one prior with other settings are told apart by their options', () => {
  const runs = [
    run({ priorPath: [resolve('p/a'), resolve('p/b')] }),
    run({ priorPath: [resolve('p/a')], adaptPrior: ['scale'] }),
  ];
  expect(runLabels([...runs, run({ prior: 'none' }, 'none (from xavier)')])).toEqual([
    '--adapt-prior none, --prior-path p/a p/b, fitted (from samples)',
    '--adapt-prior scale, --prior-path p/a, fitted (from samples)',
    'none (from xavier)',
  ]);
});

test('priors of one name in two folders are two settings', () => {
  const labels = runLabels([run({ priorPath: ['p/a'] }), run({ priorPath: ['q/a'] })]);
  expect(new Set(labels).size).toBe(2);
});
