// Distribution shifts between groups of kernels: a matrix with darker cells for groups further apart.
import { type Html, html } from '../html.js';
import { decimals } from '../numbers.js';
import { chart, named, Plot } from '../svg.js';

export interface ShiftMatrix {
  names: readonly string[];
  /** [groups, groups] */
  nats: readonly (readonly number[])[];
  /** [groups, groups]: what kernels of one law would show. */
  chance: readonly (readonly number[])[];
}

/** Shifts up to this many times chance are grey and in brackets. */
const NO_SHIFT = 1.5;
const MOST_WITH_NUMBERS = 20;
const DARKEST = 0.7;

interface Cell {
  row: number;
  column: number;
  value: number;
  byChance: boolean;
  itself: boolean;
}

const written = ({ value, byChance, itself }: Cell): string => {
  if (itself) return '';
  return byChance ? `(${decimals(value, 2)})` : decimals(value, 2);
};

/** Rows and columns are numbered; the list beside says who is who. Nothing for fewer than two groups. */
export function shiftMatrix({ names, nats, chance }: ShiftMatrix): Html | undefined {
  if (names.length < 2) return undefined;
  const cells: Cell[] = nats.flatMap((row, a) =>
    row.map((value, b) => ({
      row: a + 1,
      column: b + 1,
      value,
      byChance: value <= NO_SHIFT * chance[a]![b]!,
      itself: a === b,
    })),
  );
  const largest = Math.max(...cells.map(({ value }) => value), Number.MIN_VALUE);
  const side = Math.max(12, Math.min(64, Math.floor(760 / names.length)));
  const size = side * names.length + 40;
  const every = Math.ceil(names.length / MOST_WITH_NUMBERS);
  const ticks = names.map((_, i) => i + 1).filter((i) => (i - 1) % every === 0);
  const axis = { type: 'band' as const, label: null, tickSize: 0, padding: 0.04, ticks };
  const drawing = chart({
    ariaLabel: 'Distribution shift between groups of kernels',
    width: size,
    height: size,
    margin: 8,
    marginLeft: 32,
    marginTop: 32,
    x: { ...axis, axis: 'top' },
    y: axis,
    marks: [
      named(
        'shift',
        Plot.cell(cells, {
          x: 'column',
          y: 'row',
          fill: ({ byChance }: Cell) => (byChance ? 'var(--muted)' : 'var(--accent)'),
          fillOpacity: ({ value }: Cell) => (DARKEST * value) / largest,
          stroke: 'var(--line)',
        }),
      ),
      ...(names.length > MOST_WITH_NUMBERS
        ? []
        : [
            named(
              'nats',
              Plot.text(cells, { x: 'column', y: 'row', text: written, fill: 'var(--text)', fontSize: 11 }),
            ),
          ]),
    ],
    opacity: { type: 'identity' },
    color: { type: 'identity' },
  });
  return html`<div class="matrix">${drawing}<ol>${names.map((name) => html`<li>${name}</li>`)}</ol></div>`;
}

export const SHIFT_CAPTION =
  'How far apart the shapes of the kernels of two places are, in nats: histograms along common principal axes, compared by symmetric Kullback–Leibler divergence and weighted by explained variance. 0 is the same distribution; grey, and in brackets, is what is not clearly more than two samples of the same kernels would show.';
