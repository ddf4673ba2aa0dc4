// Tables for people: aligned columns, a rule below the head, no other lines and no colours.
import Table from 'cli-table3';
import { printableLine } from './printable.js';

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '─',
  'mid-mid': '──',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** A number of fixed decimals, or none. */
const NUMBER = /^(?:\(?[-−]?\d+(?:\.\d+)?\)?|–|)$/;

/** Longer cells lose their middle. */
const MOST_CHARACTERS = 100;

/**
 * Columns whose cells are all numbers, written ones too, or empty are aligned to the right. Numbers are shown as
 * they are: round them before. Cells may come from files: control characters are made visible, long texts lose their
 * middle.
 *
 * @param head one title per column
 * @param rows as many cells each as there are titles
 * @returns lines without a newline at the end
 */
export function table(head: string[], rows: (string | number)[][]): string {
  const numeric = (column: number) =>
    rows.length > 0 && rows.every((row) => typeof row[column] === 'number' || NUMBER.test(row[column]));
  const grid = new Table({
    head,
    chars: NO_LINES,
    colAligns: head.map((_, column) => (numeric(column) ? 'right' : 'left')),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  for (const row of rows) grid.push(row.map((cell) => (typeof cell === 'string' ? safe(cell) : cell)));
  // compact leaves only the rule below the head; cells at the end of a line are padded, which nobody needs
  return grid
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function safe(cell: string): string {
  const characters = Array.from(printableLine(cell.slice(0, 10 * MOST_CHARACTERS)));
  if (cell.length <= MOST_CHARACTERS || characters.length <= MOST_CHARACTERS) return characters.join('');
  const end = Array.from(printableLine(cell.slice(-MOST_CHARACTERS))).slice(-MOST_CHARACTERS / 2 + 1);
  return [...characters.slice(0, MOST_CHARACTERS / 2), '…', ...end].join('');
}
