import { expect, test } from 'vitest';
import { table } from '../../src/cli/table.js';

test('columns are aligned, numbers to the right, one rule below the head', () => {
  const text = table(
    ['layer', 'kernels'],
    [
      ['conv1', 72],
      ['a longer name', 1536],
    ],
  );
  expect(text.split('\n')).toEqual([
    'layer          kernels',
    '──────────────────────',
    'conv1               72',
    'a longer name     1536',
  ]);
});

test('no rows: only the head', () => {
  expect(table(['a', 'b'], [])).toContain('a  b');
});
