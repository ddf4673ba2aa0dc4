// The bound and its parts against the training step, one line per run.
import type { Html } from '../html.js';
import { runsOf, type Series } from '../series.js';
import { chart, named, Plot } from '../svg.js';
import type { ReportRun, TracePoint } from '../types.js';

export type BoundPart = 'bound' | 'expectedLogLikelihood' | 'priorTerm' | 'entropyTerm';

/** The panels, in the order of the page: bound = expected log-likelihood + prior term + entropy. */
export const BOUND_PARTS: readonly { part: BoundPart; title: string }[] = [
  { part: 'bound', title: 'Bound: fit + prior + entropy' },
  { part: 'expectedLogLikelihood', title: 'Expected log-likelihood: fit to the data' },
  { part: 'priorTerm', title: 'Prior term: how likely the prior finds the weights' },
  { part: 'entropyTerm', title: 'Entropy: how wide the posterior is' },
];

const MOST_POINTS = 200;

export interface TraceLine {
  series: Series;
  points: { step: number; value: number }[];
}

/** One line per run of this many examples that has finite values; at most 200 points of it, the last one kept. */
export function traceLines(
  runs: readonly ReportRun[],
  series: readonly Series[],
  examples: number,
  part: BoundPart,
): TraceLine[] {
  return series
    .flatMap((each) =>
      runsOf(runs, each, examples).map((run) => ({ series: each, points: valuesOf(run.trace, part) })),
    )
    .filter(({ points }) => points.length > 0);
}

/** Without a prior there is nothing to bound: both terms are zero or missing throughout. */
const isBayesian = (trace: readonly TracePoint[]) =>
  trace.some(({ priorTerm, entropyTerm }) => Boolean(priorTerm) || Boolean(entropyTerm));

function valuesOf(trace: readonly TracePoint[], part: BoundPart) {
  if (part !== 'expectedLogLikelihood' && !isBayesian(trace)) return [];
  const points = trace
    .filter((point) => Number.isFinite(point[part]))
    .map((point) => ({ step: point.step, value: point[part] }));
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => (points.length - 1 - i) % every === 0);
}

/**
 * The lines without their first steps where these would squeeze the rest: when the last 90% of the steps fill
 * less than half of the height, everything before a line enters their range is left out.
 */
export function withoutStart(lines: readonly TraceLine[]): { lines: TraceLine[]; cut: boolean } {
  const last = Math.max(...lines.flatMap(({ points }) => points.map(({ step }) => step)));
  const range = (values: readonly number[]) => [Math.min(...values), Math.max(...values)] as const;
  const all = range(lines.flatMap(({ points }) => points.map(({ value }) => value)));
  const late = lines.flatMap(({ points }) => points.filter(({ step }) => step >= 0.1 * last));
  if (late.length === 0) return { lines: [...lines], cut: false };
  const [low, high] = range(late.map(({ value }) => value));
  if (high - low >= 0.5 * (all[1] - all[0])) return { lines: [...lines], cut: false };
  const slack = 0.02 * (high - low);
  const inside = ({ value }: { value: number }) => value >= low - slack && value <= high + slack;
  return {
    lines: lines.map(({ series, points }) => ({
      series,
      points: points.slice(points.findLastIndex((point) => !inside(point)) + 1),
    })),
    cut: true,
  };
}

/** One panel: one line per run. Nothing when no run has this part. */
export function traceChart(
  runs: readonly ReportRun[],
  series: readonly Series[],
  examples: number,
  part: BoundPart,
  { width = 420, height = 240 }: { width?: number; height?: number } = {},
): Html | undefined {
  const whole = traceLines(runs, series, examples, part);
  if (whole.length === 0) return undefined;
  const { lines } = withoutStart(whole);
  return chart({
    ariaLabel: 'Nats against the training step',
    width,
    height,
    marginLeft: 54,
    marginBottom: 40,
    marginTop: 24,
    marginRight: 16,
    x: {
      label: 'step',
      labelAnchor: 'center',
      labelArrow: 'none',
      ticks: 5,
      tickFormat: '~s',
    },
    y: { label: 'nats', labelArrow: 'none', grid: true, nice: true, ticks: 5, tickFormat: '~s' },
    marks: lines.map(({ series: { colour, dash }, points }) =>
      points.length > 1
        ? named(
            'run',
            Plot.line(points, {
              x: 'step',
              y: 'value',
              stroke: colour,
              strokeWidth: 1.3,
              strokeOpacity: 0.85,
              strokeDasharray: dash || 'none',
            }),
          )
        : named('run', Plot.dot(points, { x: 'step', y: 'value', fill: colour, r: 2.5 })),
    ),
  });
}

export const TRACE_CAPTION =
  'Lower bound of the log evidence and its parts, in nats over the whole training set, at temperature 1; one line per run. ' +
  'Bound = expected log-likelihood + prior term + entropy of the posterior, and for the bound higher is better; a net trained without a prior has no bound. ' +
  'Every panel has its own scale; where the first steps would squeeze the rest, they are left out.';
