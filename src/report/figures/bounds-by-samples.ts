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

type Point = [x: number, y: number];

/** The line through values at 0, 1, 2, … as far as it lies in the range, with the points where it leaves it. */
function inside(values: readonly number[], [low, high]: readonly [number, number]): Point[] {
  const within = values.flatMap((y, x): Point[] => (y >= low && y <= high ? [[x, y]] : []));
  const crossings = values.slice(1).flatMap((to, i) =>
    [low, high].flatMap((edge): Point[] => {
      const from = values[i]!;
      return (from - edge) * (to - edge) < 0 ? [[i + (edge - from) / (to - from), edge]] : [];
    }),
  );
  return [...within, ...crossings].sort(([a], [b]) => a - b);
}

/** Between two such lines, [x, lower, upper], with the edges of the range in place of what is beyond. */
function band(lower: readonly number[], upper: readonly number[], [low, high]: readonly [number, number]) {
  const at = (values: readonly number[], x: number) => {
    const i = Math.min(Math.floor(x), values.length - 1);
    const y = values[i]! + (x - i) * ((values[i + 1] ?? values[i]!) - values[i]!);
    return Math.min(Math.max(y, low), high);
  };
  const places = [lower, upper].flatMap((values) => inside(values, [low, high]).map(([x]) => x));
  return [...new Set([...lower.keys(), ...places])]
    .sort((a, b) => a - b)
    .map((x): [number, number, number] => [x, at(lower, x), at(upper, x)]);
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
  const all = [...points.map(({ samples }) => samples), ...(trained ? [trained.samples] : [])];
  const places = [...new Set(all)].sort((a, b) => a - b); // of K on the axis
  const shift = places.indexOf(points[0]!.samples);
  const finite = (value: number) =>
    Math.min(Math.max(value, domain[0] - 1e3 * spread), domain[1] + 1e3 * spread);
  /** Of a side at every place from the first K on; a K that only training has is between its neighbours. */
  const side = (which: 'lower' | 'upper') =>
    places.slice(shift).map((K) => {
      const known = points.find(({ samples }) => samples === K);
      if (known) return finite(known[which]);
      const next = points.findIndex(({ samples }) => samples > K);
      const [before, after] = [points[next - 1] ?? points.at(-1)!, points[next] ?? points.at(-1)!];
      return (finite(before[which]) + finite(after[which])) / 2;
    });
  const lines = { lower: side('lower'), upper: side('upper') };
  const drawn = (which: 'lower' | 'upper', stroke: string) => {
    const moved = inside(lines[which], domain).map(([x, y]): Point => [x + shift, y]);
    const known = moved.filter(([x]) => points.some(({ samples }) => samples === places[x]));
    return [
      named(which, Plot.line(moved, { stroke, strokeWidth: 2 })),
      named(`${which} points`, Plot.dot(known, { fill: stroke, r: 3 })),
    ];
  };
  return chart({
    ariaLabel: 'Bounds in nats against the number of samples K',
    width,
    height,
    marginLeft: 66,
    marginBottom: 40,
    marginTop: 24,
    marginRight: 16,
    x: {
      domain: [-0.3, places.length - 0.7],
      ticks: [...places.keys()],
      tickFormat: (i: number) => String(places[i]),
      label: 'samples K',
      labelAnchor: 'center',
      labelArrow: 'none',
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
        Plot.areaY(band(lines.lower, lines.upper, domain), {
          x: ([x]: number[]) => x! + shift,
          y1: '1',
          y2: '2',
          fill: LOWER,
          fillOpacity: 0.12,
        }),
      ),
      ...drawn('upper', UPPER),
      ...drawn('lower', LOWER),
      ...(trained
        ? [
            named(
              'trained',
              Plot.dot([[places.indexOf(trained.samples), trained.value]], {
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
