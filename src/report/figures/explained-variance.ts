// How many principal axes a group of kernels needs: cumulative explained variance against their number.
import type { Html } from '../html.js';
import { chart, named, Plot } from '../svg.js';

export interface VarianceCurve {
  /** Shares of the variance, largest first. */
  shares: readonly number[];
  /** A CSS colour; thin and pale lines when left out. */
  colour?: string;
  /** SVG stroke-dasharray. */
  dash?: string;
}

/** One line per curve, and a dashed one for noise, whose axes are all alike. */
export function varianceChart(
  curves: readonly VarianceCurve[],
  { width = 420, height = 260 }: { width?: number; height?: number } = {},
): Html | undefined {
  const d = curves[0]?.shares.length ?? 0;
  if (d < 2) return undefined;
  const lines = curves.map(({ shares, colour, dash }) => {
    let sum = 0;
    const points = shares.map((share, i): [number, number] => {
      sum += 100 * share;
      return [i + 1, Math.min(100, sum)];
    });
    return { points: [[0, 0] as [number, number], ...points], colour, dash };
  });
  const step = Math.max(1, Math.ceil(d / 8));
  return chart({
    ariaLabel: 'Cumulative explained variance against the number of principal axes',
    width,
    height,
    marginLeft: 46,
    marginBottom: 42,
    marginTop: 28,
    marginRight: 16,
    x: {
      label: 'principal axes',
      labelAnchor: 'center',
      labelArrow: 'none',
      domain: [0, d],
      ticks: Array.from({ length: Math.floor(d / step) + 1 }, (_, i) => i * step),
      tickFormat: 'd',
    },
    y: { label: 'explained variance (%)', labelArrow: 'none', domain: [0, 100], grid: true },
    marks: [
      named(
        'noise',
        Plot.line(
          [
            [0, 0],
            [d, 100],
          ],
          { stroke: 'var(--muted)', strokeDasharray: '4 4' },
        ),
      ),
      ...lines.map(({ points, colour, dash }) =>
        named(
          'curve',
          Plot.line(points, {
            stroke: colour ?? 'var(--muted)',
            strokeWidth: colour ? 2 : 1,
            strokeOpacity: colour ? 1 : 0.45,
            strokeDasharray: dash || 'none',
          }),
        ),
      ),
    ],
  });
}

export const VARIANCE_CAPTION =
  'Share of the variance of all weights that the first principal axes explain. The dashed line is white noise, which needs all of them alike; the further above it, the more the kernels have in common.';
