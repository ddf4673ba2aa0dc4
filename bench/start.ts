// How long the command line takes to start, as a user waits for it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './paths.js';
import { median } from './statistics.js';

const COMMANDS = [
  { name: 'start-help', argv: ['--help'], target: 150 },
  { name: 'start-doctor', argv: ['doctor'], target: 1000 },
];
export const START_NAMES = COMMANDS.map(({ name }) => name);

export interface StartResult {
  name: string;
  command: string;
  /** Median and range, milliseconds. */
  ms: number;
  range: [number, number];
  target: number;
}

/** @param runs processes to time of each command, after one that is not timed */
export function timeStarts(chosen: (name: string) => boolean, runs = 10): StartResult[] {
  return COMMANDS.filter(({ name }) => chosen(name)).map(({ name, argv, target }) => {
    const once = () => {
      const started = performance.now();
      const { status } = spawnSync(process.execPath, [join(ROOT, 'dist/cli/main.js'), ...argv]);
      if (status !== 0) throw new Error(`dwp ${argv.join(' ')} ended with exit code ${status}`);
      return performance.now() - started;
    };
    once();
    const times = Array.from({ length: runs }, once);
    return {
      name,
      command: `dwp ${argv.join(' ')}`,
      ms: median(times),
      range: [Math.min(...times), Math.max(...times)],
      target,
    };
  });
}
