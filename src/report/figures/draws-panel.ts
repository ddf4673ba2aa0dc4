// One small picture for each method: its draws over the contours of a density, or its covariances over a diagonal.
import { type Html, html } from '../html.js';
import { chart, Plot } from '../svg.js';

export interface DrawsPanel {
  title: string;
  dots: readonly (readonly [number, number])[];
}

export interface DrawsFigure {
  kind: 'plane' | 'covariance';
  x: readonly [number, number];
  y: readonly [number, number];
  /** Relative to its largest value, rows from below; as many columns as rows. */
  density?: readonly number[];
  panels: readonly DrawsPanel[];
}

const SIZE = 170;
const LEVELS = [0.02, 0.1, 0.3, 0.6, 0.9];

/** Small multiples that wrap; the first panel is what the others are compared with, and has a colour of its own. */
export const drawsPanels = (figure: DrawsFigure): Html =>
  html`<div class="panels tiny">${figure.panels.map(
    (panel, i) =>
      html`<div class="panel"><h4>${panel.title}</h4>${onePanel(figure, panel, `var(--c${i === 0 ? 7 : 0})`)}</div>`,
  )}</div>`;

function onePanel({ kind, x, y, density }: DrawsFigure, { dots }: DrawsPanel, colour: string): Html {
  const grid = density && Math.round(Math.sqrt(density.length));
  const background =
    kind === 'covariance'
      ? Plot.line([[x[0], x[0]] as const, [x[1], x[1]] as const], {
          stroke: 'var(--muted)',
          strokeWidth: 0.8,
        })
      : Plot.contour(density as number[], {
          width: grid,
          height: grid,
          x1: x[0],
          x2: x[1],
          y1: y[0],
          y2: y[1],
          thresholds: LEVELS,
          stroke: 'var(--muted)',
          strokeWidth: 0.7,
        });
  return chart({
    ariaLabel:
      kind === 'plane'
        ? 'draws over the contours of the density'
        : 'covariances of draws against those of the chains',
    width: SIZE,
    height: SIZE,
    margin: 2,
    axis: null,
    x: { domain: [...x] },
    y: { domain: [...y] },
    marks: [
      Plot.frame({ stroke: 'var(--line)' }),
      background,
      cloud(dots, kind === 'plane' ? 1.7 : 2.4, colour),
    ],
  });
}

/** All dots in one path, a third of the bytes of circles: round ends of lines without length. */
function cloud(dots: DrawsPanel['dots'], width: number, colour: string): Plot.RenderFunction {
  return (_, { scales }, __, ___, { document }) => {
    const [x, y] = [scales.x!, scales.y!];
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    const place = ([a, b]: readonly [number, number]) =>
      `M${Number(x.apply(a)).toFixed(1)},${Number(y.apply(b)).toFixed(1)}h0`;
    path.setAttribute('d', dots.map(place).join(''));
    path.setAttribute('aria-label', 'draws');
    path.setAttribute('stroke', colour);
    path.setAttribute('stroke-width', String(width));
    path.setAttribute('stroke-linecap', 'round');
    path.setAttribute('stroke-opacity', '0.75');
    return path;
  };
}
