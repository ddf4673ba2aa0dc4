// Names of runs in a report: prior and start, and the settings in which runs of one prior and start differ, so that means
// are taken over runs of the same settings only.
import { isAbsolute, relative } from 'node:path';
import { flagOf } from '../problems/option.js';
import type { RunConfig } from '../runs/config.js';

/** What runs of one method differ in, or what does not change their result. Steps follow from the examples. */
const OF_A_RUN: readonly (keyof RunConfig)[] = [
  ...(['examples', 'split', 'steps', 'seed'] as const),
  ...(['engine', 'threads', 'device', 'checkpointEvery'] as const),
];

const written = (value: unknown): string =>
  value === undefined
    ? 'none'
    : Array.isArray(value)
      ? value.map(written).join(' ') || 'none'
      : isAbsolute(String(value))
        ? relative('', String(value)) // paths as the person at the terminal writes them
        : String(value);

export interface LabelledRun {
  /** Prior and start, as the summary has them. */
  plain: string;
  config: RunConfig;
}

/** @returns a label of each run, in order: equal where the settings are; what differs stands first, where charts keep it */
export function runLabels(runs: readonly LabelledRun[]): string[] {
  return runs.map(({ plain, config }) => {
    const alike = runs.filter((run) => run.plain === plain).map((run) => run.config);
    const keys = [...new Set(alike.flatMap(Object.keys))].sort() as (keyof RunConfig)[];
    const differing = keys.filter(
      (key) => !OF_A_RUN.includes(key) && new Set(alike.map((other) => JSON.stringify(other[key]))).size > 1,
    );
    return [...differing.map((key) => `${flagOf(key)} ${written(config[key])}`), plain].join(', ');
  });
}
