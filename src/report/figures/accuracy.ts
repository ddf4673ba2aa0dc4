// A metric against the number of training examples: mean over splits, error bars, published values.
import type { Html } from '../html.js';
import { deviation } from '../numbers.js';
import { distinct, type Series, sizesOf } from '../series.js';
import { chart, hollowMark, legend, Plot } from '../svg.js';
import type { ReferencePoint, ReportRow } from '../types.js';
import { referenceColour, seriesOfReference } from './reference.js';

export type MetricName = 'accuracy' | 'nll' | 'ece' | 'brier';

const METRICS: Record<MetricName, { label: string; percent: boolean }> = {
  accuracy: { label: 'test accuracy (%)', percent: true },
  nll: { label: 'test NLL (nats per example)', percent: false },
  ece: { label: 'expected calibration error (%)', percent: true },
  brier: { label: 'Brier score', percent: false },
};

const DODGE = 7;

export interface ExamplesChartOptions {
  metric?: MetricName;
  reference?: readonly ReferencePoint[];
  width?: number;
  height?: number;
}

interface Mark {
  examples: number;
  value: number;
}

/**
 * Metric against N on a logarithmic axis. Per row one filled dot, and one error bar where there are two runs or
 * more; faint dots are single runs, hollow dots published values (accuracy only).
 */
export function examplesChart(
  rows: readonly ReportRow[],
  series: readonly Series[],
  { metric = 'accuracy', reference = [], width = 720, height = 380 }: ExamplesChartOptions = {},
): Html | undefined {
  const { label, percent } = METRICS[metric];
  const scale = percent ? 100 : 1;
  const known = rows.filter((row) => row.examples > 0 && Number.isFinite(row[metric].mean));
  const published = metric === 'accuracy' ? reference.filter(({ examples }) => examples > 0) : [];
  if (known.length === 0) return undefined;
  const sizes = sizesOf([...known, ...published]);
  const place = (of: Series | undefined) => {
    const i = of ? series.indexOf(of) : series.length;
    return (i - (series.length - 1) / 2) * DODGE;
  };
  const marks = series.flatMap((each) => {
    const own = known.filter((row) => row.label === each.label).sort((a, b) => a.examples - b.examples);
    const dx = place(each);
    const mean: Mark[] = own.map((row) => ({ examples: row.examples, value: scale * row[metric].mean }));
    const bars = own.flatMap((row) => {
      const std = deviation(row[metric]);
      if (std === undefined) return [];
      const centre = row[metric].mean;
      return [{ examples: row.examples, low: scale * (centre - std), high: scale * (centre + std) }];
    });
    const single: Mark[] = own.flatMap((row) =>
      row[metric].values.length > 1
        ? row[metric].values
            .filter(Number.isFinite)
            .map((value) => ({ examples: row.examples, value: scale * value }))
        : [],
    );
    const line = {
      x: 'examples',
      y: 'value',
      dx,
      stroke: each.colour,
      strokeWidth: 1.8,
      strokeOpacity: 0.75,
      strokeDasharray: each.dash || 'none',
    };
    return [
      Plot.dot(single, {
        x: 'examples',
        y: 'value',
        dx,
        r: 1.8,
        fill: each.colour,
        fillOpacity: 0.35,
        ariaLabel: 'single runs',
      }),
      mean.length > 1 ? Plot.line(mean, line) : null,
      Plot.ruleX(bars, {
        x: 'examples',
        y1: 'low',
        y2: 'high',
        dx,
        stroke: each.colour,
        strokeWidth: 1.8,
        ariaLabel: 'standard deviation',
      }),
      Plot.dot(mean, { x: 'examples', y: 'value', dx, r: 4.5, fill: each.colour, ariaLabel: 'mean' }),
    ];
  });
  const hollow = published.map((point) => {
    return Plot.dot([{ examples: point.examples, value: scale * point.accuracy }], {
      x: 'examples',
      y: 'value',
      dx: place(seriesOfReference(point, series)),
      r: 5.5,
      strokeWidth: 1.6,
      stroke: referenceColour(point, series),
      ariaLabel: 'published',
    });
  });
  const few = sizes.length === 1;
  return chart({
    ariaLabel: `${label} against the number of training examples`,
    width,
    height,
    marginLeft: 46,
    marginBottom: 42,
    marginTop: 28,
    insetLeft: few ? 0 : 20,
    insetRight: few ? 0 : 20,
    x: {
      type: few ? 'point' : 'log',
      ...(few ? { domain: sizes } : {}),
      ticks: sizes,
      tickFormat: (n: number) => String(n),
      label: 'training examples',
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    y: { label, labelArrow: 'none', nice: true, grid: true, insetTop: 6, insetBottom: 6 },
    marks: [...marks, ...hollow],
  });
}

/** One entry per series, and one per published series. */
export const examplesLegend = (series: readonly Series[], reference: readonly ReferencePoint[] = []): Html =>
  legend(
    series,
    distinct(reference.map((point) => point.label)).map((label) =>
      hollowMark(label, referenceColour({ label, examples: 0, accuracy: 0 }, series)),
    ),
  );

/** What the marks mean, for the caption. */
export function examplesCaption(rows: readonly ReportRow[], reference: readonly ReferencePoint[]): string {
  const repeated = rows.some(({ accuracy }) => deviation(accuracy) !== undefined);
  return [
    'Accuracy on the test set against the number of labelled training examples; higher is better.',
    repeated
      ? 'Dots are means over training sets (splits), bars ± one standard deviation over them, faint dots the single runs.'
      : 'Every dot is one run; with more than one split it would have an error bar.',
    reference.length > 0 ? 'Hollow circles are published values of the same experiment.' : '',
    'Priors are set a little apart sideways so that bars do not hide each other.',
  ]
    .filter(Boolean)
    .join(' ');
}
