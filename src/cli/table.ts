// Tables for people: aligned columns, a rule below the head, no other lines and no colours.
import stringWidth from 'string-width';
import { printableLine } from './printable.js';

const GAP = '  ';

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
  const cells = [
    head,
    ...rows.map((row) => row.map((cell) => (typeof cell === 'string' ? safe(cell) : String(cell)))),
  ];
  const widths = cells.map((row) => row.map((cell) => stringWidth(cell)));
  const columns = head.map((_, column) => ({
    width: widths.reduce((most, row) => Math.max(most, row[column]), 0),
    numeric:
      rows.length > 0 && rows.every((row) => typeof row[column] === 'number' || NUMBER.test(row[column])),
  }));
  const lines = cells.map((row, i) =>
    row
      .map((cell, column) => {
        const space = ' '.repeat(columns[column].width - widths[i][column]);
        return columns[column].numeric ? space + cell : cell + space;
      })
      .join(GAP)
      .trimEnd(),
  );
  if (rows.length === 0) return lines[0];
  const total = columns.reduce((sum, { width }) => sum + width, GAP.length * (columns.length - 1));
  return [lines[0], '─'.repeat(total), ...lines.slice(1)].join('\n');
}

function safe(cell: string): string {
  const characters = Array.from(printableLine(cell.slice(0, 10 * MOST_CHARACTERS)));
  if (cell.length <= MOST_CHARACTERS || characters.length <= MOST_CHARACTERS) return characters.join('');
  const end = Array.from(printableLine(cell.slice(-MOST_CHARACTERS))).slice(-MOST_CHARACTERS / 2 + 1);
  return [...characters.slice(0, MOST_CHARACTERS / 2), '…', ...end].join('');
}
