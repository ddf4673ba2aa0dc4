// Names of runs in a report: prior and start, and the settings in which runs of one prior and start differ, so that means
// are taken over runs of the same settings only.
import type { RunConfig } from './config.js';

/** What runs of one method differ in, or what does not change their result. Steps follow from the examples. */
const OF_A_RUN: readonly (keyof RunConfig)[] = [
  ...(['examples', 'split', 'steps', 'seed'] as const),
  ...(['engine', 'threads', 'device', 'checkpointEvery'] as const),
];

const written = (value: unknown): string =>
  value === undefined ? 'none' : Array.isArray(value) ? value.join(' ') || 'none' : String(value);

/** `--prior-path` of priorPath */
const optionOf = (key: string): string =>
  `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** @returns a label of each configuration, in order: equal where the settings are */
export function runLabels(configs: readonly RunConfig[]): string[] {
  const plain = configs.map(({ prior, init }) => `${prior} (from ${init})`);
  return configs.map((config, i) => {
    const alike = configs.filter((_, j) => plain[j] === plain[i]);
    const keys = [...new Set(alike.flatMap(Object.keys))] as (keyof RunConfig)[];
    const differing = keys.filter(
      (key) => !OF_A_RUN.includes(key) && new Set(alike.map((other) => written(other[key]))).size > 1,
    );
    return [plain[i], ...differing.map((key) => `${optionOf(key)} ${written(config[key])}`)].join(', ');
  });
}
