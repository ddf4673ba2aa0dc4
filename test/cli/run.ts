// Runs the built command line as a real process.
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** What a shell would see of a process that has ended. */
export interface Outcome {
  code: number | undefined;
  signal?: string;
  out: string;
  err: string;
}

/** A process that is still running: `kill` it, wait for `ended`. */
export function startDwp(...args: string[]): { kill(signal: NodeJS.Signals): void; ended: Promise<Outcome> } {
  const child = execa(process.execPath, [MAIN, ...args], { reject: false });
  return {
    kill: (signal) => {
      child.kill(signal);
    },
    ended: child.then(({ exitCode, signal, stdout, stderr }) => ({
      code: exitCode,
      ...(signal && { signal }),
      out: stdout,
      err: stderr,
    })),
  };
}

/** @returns what a shell would see; never throws for an exit code */
export const dwp = (...args: string[]): Promise<Outcome> => startDwp(...args).ended;
