// Reliability diagram: how often predictions of a given confidence are right.
import type { Html } from '../html.js';
import { chart, named, Plot } from '../svg.js';
import type { ReliabilityBin } from '../types.js';

/** Equal-width bins of confidence that runs are pooled in, as in the expected calibration error. */
const BINS = 15;

/** Bins of several runs as one diagram: weighted by their counts, empty ones dropped, confidence increasing. */
export function pooledBins(runs: readonly (readonly ReliabilityBin[])[]): ReliabilityBin[] {
  const pooled = new Map<number, ReliabilityBin>();
  for (const { confidence, accuracy, count } of runs.flat()) {
    if (!(count > 0) || !Number.isFinite(confidence) || !Number.isFinite(accuracy)) continue;
    const index = Math.min(BINS - 1, Math.max(0, Math.ceil(confidence * BINS) - 1));
    const bin = pooled.get(index) ?? { confidence: 0, accuracy: 0, count: 0 };
    const total = bin.count + count;
    pooled.set(index, {
      confidence: (bin.confidence * bin.count + confidence * count) / total,
      accuracy: (bin.accuracy * bin.count + accuracy * count) / total,
      count: total,
    });
  }
  return [...pooled.values()].sort((a, b) => a.confidence - b.confidence);
}

/** One dot per bin that holds predictions, a bar from the diagonal to it. */
export function reliabilityChart(
  bins: readonly ReliabilityBin[],
  colour: string,
  { width = 300, height = 300 }: { width?: number; height?: number } = {},
): Html | undefined {
  if (bins.length === 0) return undefined;
  const axis = { domain: [0, 100], ticks: [0, 25, 50, 75, 100], labelArrow: 'none' as const };
  const percent = bins.map(({ confidence, accuracy, count }) => ({
    confidence: 100 * confidence,
    accuracy: 100 * accuracy,
    count,
  }));
  return chart({
    ariaLabel: 'Accuracy against confidence',
    width,
    height,
    marginLeft: 44,
    marginBottom: 42,
    marginTop: 26,
    marginRight: 12,
    x: { ...axis, label: 'confidence (%)', labelAnchor: 'center' },
    y: { ...axis, label: 'right (%)', grid: true },
    r: { range: [0, 9], domain: [0, Math.max(...bins.map(({ count }) => count))] },
    marks: [
      named(
        'diagonal',
        Plot.line(
          [
            [0, 0],
            [100, 100],
          ],
          { stroke: 'var(--muted)', strokeDasharray: '4 4' },
        ),
      ),
      named(
        'gap',
        Plot.ruleX(percent, {
          x: 'confidence',
          y1: 'confidence',
          y2: 'accuracy',
          stroke: colour,
          strokeOpacity: 0.45,
          strokeWidth: 3,
        }),
      ),
      named('bin', Plot.dot(percent, { x: 'confidence', y: 'accuracy', r: 'count', fill: colour })),
      // a dot of its own for bins so small that their area would not be seen
      named('centre', Plot.dot(percent, { x: 'confidence', y: 'accuracy', r: 2, fill: colour })),
    ],
  });
}

export const RELIABILITY_CAPTION =
  'Test predictions in 15 bins by the confidence of the ensemble, against how many of them are right; the area of a dot is the number of predictions. ' +
  'On the dashed diagonal confidence is honest; below it the net is too sure of itself, above it too careful.';
