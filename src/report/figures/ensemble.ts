// Quality against the number of weight samples that are averaged in a prediction.
import type { Html } from '../html.js';
import { distinct, runsOf, type Series } from '../series.js';
import { chart, named, Plot } from '../svg.js';
import type { ReportRun } from '../types.js';

export type EnsembleMetric = 'accuracy' | 'nll' | 'ece';

const LABELS: Record<EnsembleMetric, { label: string; scale: number }> = {
  accuracy: { label: 'test accuracy (%)', scale: 100 },
  nll: { label: 'test NLL (nats per example)', scale: 1 },
  ece: { label: 'expected calibration error (%)', scale: 100 },
};

/** Mean over the series' runs for every ensemble size that one of them has. */
export function ensembleMeans(
  runs: readonly ReportRun[],
  metric: EnsembleMetric,
): { samples: number; value: number }[] {
  const points = runs
    .flatMap(({ ensemble }) => ensemble)
    .filter((point) => point.samples > 0 && Number.isFinite(point[metric]));
  return distinct(points.map(({ samples }) => samples))
    .sort((a, b) => a - b)
    .map((samples) => {
      const values = points.filter((point) => point.samples === samples).map((point) => point[metric]);
      return {
        samples,
        value: (LABELS[metric].scale * values.reduce((sum, value) => sum + value, 0)) / values.length,
      };
    });
}

/** One line per series with runs of this many examples; one dot per ensemble size. */
export function ensembleChart(
  runs: readonly ReportRun[],
  series: readonly Series[],
  examples: number,
  metric: EnsembleMetric,
  { width = 420, height = 260 }: { width?: number; height?: number } = {},
): Html | undefined {
  const lines = series
    .map((each) => ({ each, points: ensembleMeans(runsOf(runs, each, examples), metric) }))
    .filter(({ points }) => points.length > 0);
  if (lines.length === 0) return undefined;
  const sizes = distinct(lines.flatMap(({ points }) => points.map(({ samples }) => samples))).sort(
    (a, b) => a - b,
  );
  return chart({
    ariaLabel: `${LABELS[metric].label} against the number of weight samples`,
    width,
    height,
    marginLeft: 46,
    marginBottom: 42,
    marginTop: 28,
    marginRight: 16,
    x: {
      type: sizes.length > 1 ? 'log' : 'point',
      ...(sizes.length > 1 ? {} : { domain: sizes }),
      ticks: sizes.length <= 8 ? sizes : sizes.filter((n) => Number.isInteger(Math.log2(n))),
      tickFormat: (n: number) => String(n),
      label: 'weight samples in the ensemble',
      labelAnchor: 'center',
      labelArrow: 'none',
    },
    y: { label: LABELS[metric].label, labelArrow: 'none', grid: true, nice: true },
    marks: lines.flatMap(({ each, points }) => [
      points.length > 1
        ? Plot.line(points, {
            x: 'samples',
            y: 'value',
            stroke: each.colour,
            strokeWidth: 1.8,
            strokeDasharray: each.dash || 'none',
          })
        : null,
      named('ensemble', Plot.dot(points, { x: 'samples', y: 'value', fill: each.colour, r: 3.5 })),
    ]),
  });
}

export const ENSEMBLE_CAPTION =
  'A prediction is the average over this many samples of the weights; means over the runs. Accuracy should rise and NLL (lower is better) fall, then level off.';
