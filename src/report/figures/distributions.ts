// Two distributions beside each other: shares below, spectra with a band, entries of two matrices, nulls of a test.
import type { Html } from '../html.js';
import { chart, legend, named, Plot } from '../svg.js';

export const SAMPLES = 'var(--c1)';
export const KERNELS = 'var(--c0)';

export const SIDES: Html = legend([
  { label: 'samples', prior: '', colour: SAMPLES, dash: '' },
  { label: 'kernels', prior: '', colour: KERNELS, dash: '' },
]);

interface Sides {
  samples: readonly number[];
  kernels: readonly number[];
}

const FRAME = { width: 420, height: 250, marginLeft: 56, marginBottom: 40, marginTop: 24, marginRight: 16 };
const axis = (label: string) => ({ label, labelAnchor: 'center' as const, labelArrow: 'none' as const });

/** At most so many points of a sorted list, the ends among them. */
const thinned = (sorted: readonly number[], most = 200): [number, number][] => {
  const n = sorted.length;
  const m = Math.min(n, most);
  return Array.from({ length: m }, (_, i): [number, number] => {
    const at = m === 1 ? 0 : Math.round((i * (n - 1)) / (m - 1));
    return [sorted[at]!, (100 * (at + 0.5)) / n];
  });
};

/** Four values of two digits from the least to the greatest, at equal distances on a logarithmic axis. */
const geometricTicks = (values: readonly number[]): number[] => {
  const least = Math.min(...values);
  const ratio = Math.max(...values) / least;
  return [...new Set([0, 1, 2, 3].map((i) => Number((least * ratio ** (i / 3)).toPrecision(2))))];
};

/** Share of values below x; both lists sorted. */
export function sharesBelow({ samples, kernels }: Sides, label: string, logarithmic = false): Html {
  const positive = logarithmic && [...samples, ...kernels].every((x) => x > 0);
  return chart({
    ...FRAME,
    ariaLabel: 'Share of samples and of kernels below a value',
    x: positive
      ? { ...axis(label), type: 'log', ticks: geometricTicks([...samples, ...kernels]), tickFormat: '~g' }
      : { ...axis(label), type: 'linear', ticks: 5 },
    y: { label: '% below', labelArrow: 'none', grid: true, domain: [0, 100], ticks: 5 },
    marks: [
      named('kernels', Plot.line(thinned(kernels), { stroke: KERNELS, strokeWidth: 2 })),
      named('samples', Plot.line(thinned(samples), { stroke: SAMPLES, strokeWidth: 2 })),
    ],
  });
}

/** Power by frequency, with what halves of the kernels range over. */
export function radialPower(
  rings: readonly number[],
  { samples, kernels, low, high }: Sides & { low: readonly number[]; high: readonly number[] },
): Html {
  const floor = 1e-3;
  const line = (values: readonly number[]) =>
    rings.map((x, i): [number, number] => [x, Math.max(values[i]!, floor)]);
  return chart({
    ...FRAME,
    ariaLabel: 'Mean power of samples and of kernels by spatial frequency',
    x: { ...axis('cycles per weight'), domain: [0, 0.5], ticks: 5 },
    y: { label: 'power', labelArrow: 'none', type: 'log', grid: true, ticks: 5, tickFormat: '~g' },
    marks: [
      named(
        'range of halves',
        Plot.areaY(
          rings.map((x, i) => [x, Math.max(low[i]!, floor), Math.max(high[i]!, floor)]),
          { x: '0', y1: '1', y2: '2', fill: KERNELS, fillOpacity: 0.2 },
        ),
      ),
      named('kernels', Plot.line(line(kernels), { stroke: KERNELS, strokeWidth: 2 })),
      named('samples', Plot.line(line(samples), { stroke: SAMPLES, strokeWidth: 2 })),
    ],
  });
}

const MOST_ENTRIES = 1500;

/** Entries of the samples' matrix against those of the kernels'. */
export function entries({ samples, kernels }: Sides): Html {
  const every = Math.max(1, Math.ceil(kernels.length / MOST_ENTRIES));
  const points = kernels.flatMap((x, i): [number, number][] => (i % every === 0 ? [[x, samples[i]!]] : []));
  const ends = [
    Math.min(...points.map(([x, y]) => Math.min(x, y))),
    Math.max(...points.map(([x, y]) => Math.max(x, y))),
  ];
  return chart({
    ...FRAME,
    marginLeft: 66,
    ariaLabel: 'Covariances of pixels: samples against kernels',
    x: { ...axis('kernels'), ticks: 4, tickFormat: '~g' },
    y: { label: 'samples', labelArrow: 'none', grid: true, ticks: 5, tickFormat: '~g' },
    marks: [
      named(
        'equal',
        Plot.line(
          ends.map((x) => [x, x]),
          { stroke: 'var(--muted)', strokeDasharray: '4 3' },
        ),
      ),
      named('entries', Plot.dot(points, { fill: SAMPLES, fillOpacity: 0.5, r: 1.8 })),
    ],
  });
}

/** Values under random relabellings, as bars, and the one observed. */
export function nullValues(nulls: readonly number[], observed: number): Html {
  const scale = 10 ** -Math.floor(Math.log10(Math.max(...nulls.map(Math.abs), Math.abs(observed), 1e-300)));
  return chart({
    ...FRAME,
    ariaLabel: 'Discrepancy of samples and kernels among those of random relabellings',
    x: { ...axis(`maximum mean discrepancy², × ${(1 / scale).toExponential(0)}`), ticks: 5 },
    y: { label: 'relabellings', labelArrow: 'none', grid: true, ticks: 5 },
    marks: [
      named(
        'relabellings',
        Plot.rectY(
          nulls.map((x) => x * scale),
          Plot.binX({ y: 'count' }, { fill: KERNELS, fillOpacity: 0.6, thresholds: 20 } as never),
        ),
      ),
      named('observed', Plot.ruleX([observed * scale], { stroke: SAMPLES, strokeWidth: 2.5 })),
    ],
  });
}
