// Tables for people: aligned columns, a rule below the head, no other lines and no colours.
import Table from 'cli-table3';

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

/**
 * Columns whose cells are all numbers (or empty) are aligned to the right. Numbers are shown as they are: round
 * them before.
 *
 * @param head one title per column
 * @param rows as many cells each as there are titles
 * @returns lines without a newline at the end
 */
export function table(head: string[], rows: (string | number)[][]): string {
  const numeric = (column: number) =>
    rows.length > 0 && rows.every((row) => typeof row[column] === 'number' || row[column] === '');
  const grid = new Table({
    head,
    chars: NO_LINES,
    colAligns: head.map((_, column) => (numeric(column) ? 'right' : 'left')),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  grid.push(...rows);
  // compact leaves only the rule below the head; cells at the end of a line are padded, which nobody needs
  return grid
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
