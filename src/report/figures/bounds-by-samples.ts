// A quantity enclosed from below and above, against the number of samples K.
import type { Html } from '../html.js';
import { decimals } from '../numbers.js';
import { chart, named, Plot } from '../svg.js';

export interface EnclosedAt {
  samples: number;
  /** Nats. */
  lower: number;
  upper: number;
}

/** What training used: one of the two bounds, at its own K. */
export interface TrainedBound {
  samples: number;
  value: number;
}

export const LOWER = 'var(--c0)';
export const UPPER = 'var(--c1)';

/** A side that is further away than so many times the other leaves the picture. */
const MOST_UNEQUAL = 1.5;

/** What of the axis is shown: around the tightest pair, as far as the nearer side needs; and what training used. */
export function shownRange(points: readonly EnclosedAt[], trained?: TrainedBound): [number, number] {
  const tightest = points.at(-1)!;
  const middle = Number.isFinite(tightest.upper) ? (tightest.lower + tightest.upper) / 2 : tightest.lower;
  const below = middle - Math.min(...points.map(({ lower }) => lower));
  const above = Math.max(...points.map(({ upper }) => upper)) - middle;
  const reach = (own: number, other: number, beside: number) =>
    1.1 * Math.max(Math.min(own, MOST_UNEQUAL * other), beside, 0.1 * Math.min(own, other), 1e-3);
  const apart = trained ? trained.value - middle : 0;
  return [middle - reach(below, above, -apart), middle + reach(above, below, apart)];
}

/** Two lines that close in on each other; the band between them holds the quantity. */
export function boundsChart(
  points: readonly EnclosedAt[],
  trained?: TrainedBound,
  { width = 420, height = 250 }: { width?: number; height?: number } = {},
): Html {
  const domain = shownRange(points, trained);
  const spread = domain[1] - domain[0];
  const digits = spread < 1 ? 3 : spread < 50 ? 1 : 0;
  const inside = (value: number) => Math.min(Math.max(value, domain[0] - spread), domain[1] + spread);
  const drawn = points.map(({ samples, lower, upper }) => ({
    K: String(samples),
    lower: inside(lower),
    upper: inside(upper),
  }));
  const all = [...points.map(({ samples }) => samples), ...(trained ? [trained.samples] : [])];
  const line = (side: 'lower' | 'upper', stroke: string) => [
    named(side, Plot.line(drawn, { x: 'K', y: side, stroke, strokeWidth: 2, clip: true })),
    named(
      `${side} points`,
      Plot.dot(
        drawn.filter((point) => point[side] >= domain[0] && point[side] <= domain[1]),
        { x: 'K', y: side, fill: stroke, r: 3 },
      ),
    ),
  ];
  return chart({
    ariaLabel: 'Bounds in nats against the number of samples K',
    width,
    height,
    marginLeft: 66,
    marginBottom: 40,
    marginTop: 24,
    marginRight: 16,
    x: {
      type: 'point',
      domain: [...new Set(all)].sort((a, b) => a - b).map(String),
      label: 'samples K',
      labelAnchor: 'center',
      labelArrow: 'none',
      padding: 0.3,
    },
    y: {
      label: 'nats',
      labelArrow: 'none',
      grid: true,
      domain,
      ticks: 5,
      tickFormat: (value: number) => decimals(value, digits),
    },
    marks: [
      named(
        'between',
        Plot.areaY(drawn, { x: 'K', y1: 'lower', y2: 'upper', fill: LOWER, fillOpacity: 0.12, clip: true }),
      ),
      ...line('upper', UPPER),
      ...line('lower', LOWER),
      ...(trained
        ? [
            named(
              'trained',
              Plot.dot([{ K: String(trained.samples), value: trained.value }], {
                x: 'K',
                y: 'value',
                stroke: 'var(--text)',
                strokeWidth: 1.5,
                r: 6,
              }),
            ),
          ]
        : []),
    ],
  });
}

export const BOUNDS_CAPTION =
  'The quantity lies in the band, which narrows as K grows; each side is an average over draws of the weights, whose standard error is in the table. The ring is what training used, with its own K. Every panel has its own scale, and what is far away at a small K leaves it.';
