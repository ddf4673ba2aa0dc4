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

test('whatever a file may hold: nothing that a terminal obeys, one line, not too long', () => {
  const hostile = '\u001b[31mred\u0007\r\n\u009b2J\u202edrow\u007f\ttab';
  const text = table(['layer'], [[hostile], [`${'a'.repeat(1000)}\u001b]0;b`], ['😀'.repeat(90)]]);
  const [, , first, second, third, ...more] = text.split('\n');
  expect(first).toBe('␛[31mred␇␍␊�2J�drow␡␉tab');
  expect(second).toBe(`${'a'.repeat(50)}…${'a'.repeat(44)}␛]0;b`);
  expect(third).toBe('😀'.repeat(90));
  expect(more).toEqual([]);
});
