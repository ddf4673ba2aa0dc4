// What the page draws of a comparison: the density on a grid with draws of each method, or, in many dimensions, the
// entries of each method's covariance against those of the chains.
import type { Engine } from '../engine/index.js';
import { moments } from '../evaluate/two-sample.js';
import type { TargetResult } from './compare.js';
import { logDensities, type Rows } from './draw.js';

export interface Panel {
  method: string;
  /** x and y of each dot. */
  dots: [number, number][];
}

export interface Picture {
  kind: 'plane' | 'covariance';
  x: [number, number];
  y: [number, number];
  /** Of a plane: density relative to its largest value, [GRID, GRID], rows from below. */
  density?: number[];
  panels: Panel[];
}

export const GRID = 80;
const DOTS = 500;

export async function pictureOf({ target, methods }: TargetResult, engine: Engine): Promise<Picture> {
  if (!target.picture) {
    const covariances = methods.map(({ rows }) => moments(rows).covariance);
    const values = covariances[0].flat();
    const most = Math.max(...values) * 1.1;
    const range: [number, number] = [Math.min(...values) - 0.1 * most, most];
    const panels = methods.map(({ method }, k) => ({
      method,
      dots: covariances[0].flatMap((row, i) =>
        row
          .slice(0, i + 1)
          .map((value, j): [number, number] => [value, covariances[k][i][j]])
          .filter(([, value]) => value > range[0] && value < range[1]),
      ),
    }));
    return { kind: 'covariance', x: range, y: range, panels };
  }
  const { centre, extent } = target.picture;
  const [x, y] = centre.map((c): [number, number] => [c - extent, c + extent]);
  const step = (2 * extent) / (GRID - 1);
  const grid: Rows = { data: new Float32Array(2 * GRID * GRID), n: GRID * GRID, d: 2 };
  for (let i = 0; i < grid.n; i++)
    grid.data.set([x[0] + step * (i % GRID), y[0] + step * Math.floor(i / GRID)], 2 * i);
  const logs = await logDensities(target, grid, engine);
  const most = Math.max(...logs);
  return {
    kind: 'plane',
    x,
    y,
    density: Array.from(logs, (value) => Math.exp(value - most)),
    panels: methods.map(({ method, rows: { data } }) => ({
      method,
      dots: Array.from({ length: DOTS }, (_, i): [number, number] => [data[2 * i], data[2 * i + 1]]).filter(
        ([a, b]) => a > x[0] && a < x[1] && b > y[0] && b < y[1],
      ),
    })),
  };
}
