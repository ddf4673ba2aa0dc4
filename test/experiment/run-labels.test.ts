// Labels of runs in a report: equal for equal settings, and different where means must not be taken together.
import { expect, test } from 'vitest';
import { runConfig } from '../../src/experiment/config.js';
import { runLabels } from '../../src/experiment/run-labels.js';

const config = (settings: Record<string, unknown>) =>
  runConfig.parse({ prior: 'fitted', init: 'samples', ...settings });

test('splits, examples and steps of one method share a label', () => {
  const runs = [{ split: 0 }, { split: 1, threads: 2 }, { examples: 50, steps: 71 }].map(config);
  expect(runLabels(runs)).toEqual(Array(3).fill('fitted (from samples)'));
});

test('runs of one prior with other settings are told apart by their options', () => {
  const runs = [{ priorPath: ['a', 'b'] }, { priorPath: ['a'], adaptPrior: ['scale'] }].map(config);
  expect(runLabels([...runs, config({ prior: 'none' })])).toEqual([
    'fitted (from samples), --prior-path a b, --adapt-prior none',
    'fitted (from samples), --prior-path a, --adapt-prior scale',
    'none (from samples)',
  ]);
});
