// A metric against the number of training examples: mean over splits, error bars, published values.
import type { Html } from '../html.js';
import { deviation } from '../numbers.js';
import { distinct, type Series, sizesOf } from '../series.js';
import { chart, hollowMark, legend, named, Plot } from '../svg.js';
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
  /** Of the chart against N; with one N only, the height follows from the number of series. */
  height?: number;
}

interface Mark {
  examples: number;
  label: string;
  value: number;
}

/** What one series has to draw, in the unit of the axis. */
interface Drawn {
  series: Series;
  means: Mark[];
  /** Mean ± standard deviation, where there are two runs or more. */
  bars: { examples: number; label: string; low: number; high: number }[];
  /** Single runs, where there are two or more. */
  singles: Mark[];
}

/**
 * Metric against N on a logarithmic axis; with one N only, one line of the chart for each series. Per row one
 * filled dot, and one error bar where there are two runs or more; faint dots are single runs, hollow dots
 * published values (accuracy only). Nothing when no row has a finite mean.
 */
export function examplesChart(
  rows: readonly ReportRow[],
  series: readonly Series[],
  { metric = 'accuracy', reference = [], width = 720, height = 380 }: ExamplesChartOptions = {},
): Html | undefined {
  const known = rows.filter((row) => row.examples > 0 && Number.isFinite(row[metric].mean));
  const published =
    metric === 'accuracy'
      ? reference.filter(({ examples, accuracy }) => examples > 0 && Number.isFinite(accuracy))
      : [];
  if (known.length === 0) return undefined;
  const drawn = series.map((each) => drawnOf(each, known, metric));
  return sizesOf([...known, ...published]).length > 1
    ? againstExamples(drawn, published, metric, width, height)
    : besideEachOther(drawn, published, metric, width);
}

function drawnOf(series: Series, rows: readonly ReportRow[], metric: MetricName): Drawn {
  const scale = METRICS[metric].percent ? 100 : 1;
  const own = rows.filter((row) => row.label === series.label).sort((a, b) => a.examples - b.examples);
  return {
    series,
    means: own.map(({ examples, label, [metric]: { mean } }) => ({ examples, label, value: scale * mean })),
    bars: own.flatMap(({ examples, label, [metric]: spread }) => {
      const std = deviation(spread);
      if (std === undefined) return [];
      return [{ examples, label, low: scale * (spread.mean - std), high: scale * (spread.mean + std) }];
    }),
    singles: own.flatMap(({ examples, label, [metric]: { values } }) =>
      values.length > 1
        ? values.filter(Number.isFinite).map((value) => ({ examples, label, value: scale * value }))
        : [],
    ),
  };
}

function againstExamples(
  drawn: readonly Drawn[],
  published: readonly ReferencePoint[],
  metric: MetricName,
  width: number,
  height: number,
): Html {
  const series = drawn.map((each) => each.series);
  const place = (of: Series | undefined) =>
    ((of ? series.indexOf(of) : series.length) - (series.length - 1) / 2) * DODGE;
  const marks = drawn.flatMap(({ series: each, means, bars, singles }) => {
    const at = { x: 'examples', dx: place(each) };
    const line = { strokeWidth: 1.8, strokeOpacity: 0.75, strokeDasharray: each.dash || 'none' };
    return [
      named(
        'single runs',
        Plot.dot(singles, { ...at, y: 'value', r: 1.8, fill: each.colour, fillOpacity: 0.4 }),
      ),
      means.length > 1 ? Plot.line(means, { ...at, y: 'value', stroke: each.colour, ...line }) : null,
      named(
        'standard deviation',
        Plot.ruleX(bars, { ...at, y1: 'low', y2: 'high', stroke: each.colour, strokeWidth: 1.8 }),
      ),
      named('mean', Plot.dot(means, { ...at, y: 'value', r: 4.5, fill: each.colour })),
    ];
  });
  const hollow = published.map((point) =>
    named(
      'published',
      Plot.dot([{ examples: point.examples, value: 100 * point.accuracy }], {
        x: 'examples',
        y: 'value',
        dx: place(seriesOfReference(point, series)),
        r: 5.5,
        strokeWidth: 1.6,
        stroke: referenceColour(point, series),
      }),
    ),
  );
  return chart({
    ariaLabel: `${METRICS[metric].label} against the number of training examples`,
    width,
    height,
    marginLeft: 46,
    marginBottom: 42,
    marginTop: 28,
    insetLeft: 20,
    insetRight: 20,
    x: {
      type: 'log',
      ticks: sizesOf([...drawn.flatMap(({ means }) => means), ...published]),
      tickFormat: (n: number) => String(n),
      label: 'training examples',
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    y: {
      label: METRICS[metric].label,
      labelArrow: 'none',
      ticks: Math.round(height / 50),
      nice: true,
      grid: true,
      insetTop: 6,
      insetBottom: 6,
    },
    marks: [...marks, ...hollow],
  });
}

const ROW_HEIGHT = 38;
const LONGEST_NAME = 22;

function besideEachOther(
  drawn: readonly Drawn[],
  published: readonly ReferencePoint[],
  metric: MetricName,
  width: number,
): Html {
  const series = drawn.map((each) => each.series);
  const lineOf = (point: ReferencePoint) => seriesOfReference(point, series)?.label ?? point.label;
  const lines = distinct([
    ...drawn.filter(({ means }) => means.length > 0).map((each) => each.series.label),
    ...published.map(lineOf),
  ]);
  const short = (name: string) => (name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name);
  const marks = drawn.flatMap(({ series: each, means, bars, singles }) => {
    const at = { y: 'label' };
    return [
      named(
        'single runs',
        Plot.dot(singles, { ...at, x: 'value', dy: 9, r: 2.2, fill: each.colour, fillOpacity: 0.5 }),
      ),
      named(
        'standard deviation',
        Plot.ruleY(bars, { ...at, x1: 'low', x2: 'high', stroke: each.colour, strokeWidth: 2 }),
      ),
      named('mean', Plot.dot(means, { ...at, x: 'value', r: 5, fill: each.colour })),
    ];
  });
  const hollow = published.map((point) =>
    named(
      'published',
      Plot.dot([{ label: lineOf(point), value: 100 * point.accuracy }], {
        x: 'value',
        y: 'label',
        r: 6,
        strokeWidth: 1.6,
        stroke: referenceColour(point, series),
      }),
    ),
  );
  const values = distinct([
    ...drawn.flatMap(({ means, singles }) => [...means, ...singles].map(({ value }) => value)),
    ...published.map(({ accuracy }) => 100 * accuracy),
  ]);
  return chart({
    ariaLabel: METRICS[metric].label,
    width,
    height: 60 + ROW_HEIGHT * lines.length,
    marginLeft: 20 + 7 * Math.max(...lines.map((name) => short(name).length)),
    marginBottom: 42,
    marginTop: 8,
    marginRight: 20,
    x: {
      label: METRICS[metric].label,
      labelAnchor: 'center',
      labelArrow: 'none',
      ticks: Math.round(width / 90),
      // the axis of a single value has one tick, which is not a round number
      ...(values.length === 1 && { tickFormat: (x: number) => String(Number(x.toPrecision(3))) }),
      grid: true,
      nice: true,
      inset: 8,
    },
    y: { type: 'point', domain: lines, label: null, tickSize: 0, tickFormat: short, padding: 0.5 },
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
    sizesOf([...rows, ...reference]).length > 1
      ? 'Accuracy on the test set against the number of labelled training examples; higher is better. Priors are set a little apart sideways so that bars do not hide each other.'
      : 'Accuracy on the test set; higher is better.',
    repeated
      ? 'Dots are means over training sets (splits), bars ± one standard deviation over them, faint dots the single runs.'
      : 'Every dot is one run; with more than one split it would have an error bar.',
    reference.length > 0 ? 'Hollow circles are published values of the same experiment.' : '',
  ]
    .filter(Boolean)
    .join(' ');
}
