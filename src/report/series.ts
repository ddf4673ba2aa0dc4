// Who gets which colour and dash: one colour per prior throughout the page, dashes tell its initialisations apart.
import type { ReportInput, ReportRun } from './types.js';

/** Colours that the style sheet defines for the light and the dark page. */
export const COLOURS = 8;

export const DASHES = ['', '6 3', '2 3', '8 3 2 3'];

export interface Series {
  /** What the legend says; rows and runs of one label belong together. */
  label: string;
  prior: string;
  /** A CSS colour. */
  colour: string;
  /** SVG stroke-dasharray; empty for a solid line. */
  dash: string;
}

/** One series per label, in order of first appearance in the rows, then in the runs. */
export function seriesOf(input: Pick<ReportInput, 'rows' | 'runs'>): Series[] {
  const series = new Map<string, Series>();
  const priors = new Map<string, number>();
  for (const { label, prior } of [...input.rows, ...input.runs]) {
    if (series.has(label)) continue;
    if (!priors.has(prior)) priors.set(prior, priors.size);
    const siblings = [...series.values()].filter((other) => other.prior === prior).length;
    series.set(label, {
      label,
      prior,
      colour: `var(--c${priors.get(prior)! % COLOURS})`,
      dash: DASHES[siblings % DASHES.length]!,
    });
  }
  return [...series.values()];
}

/** All runs with this number of examples that belong to the series. */
export const runsOf = (runs: readonly ReportRun[], series: Series, examples: number): ReportRun[] =>
  runs.filter((run) => run.label === series.label && run.examples === examples);

export const distinct = <T>(values: Iterable<T>): T[] => [...new Set(values)];

/** Numbers of training examples, increasing. */
export const sizesOf = (items: readonly { examples: number }[]): number[] =>
  distinct(items.map(({ examples }) => examples)).sort((a, b) => a - b);

/** The number of examples that figures of single runs show: where the most series meet, then the most runs, then the smallest. */
export function shownExamples(runs: readonly ReportRun[]): number | undefined {
  const score = (examples: number) => {
    const there = runs.filter((run) => run.examples === examples);
    return 1e6 * distinct(there.map((run) => run.label)).length + there.length;
  };
  return sizesOf(runs).reduce<number | undefined>(
    (best, examples) => (best === undefined || score(examples) > score(best) ? examples : best),
    undefined,
  );
}
