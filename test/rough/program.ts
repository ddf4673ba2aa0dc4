// The built program as a process: with faults of the system, in a shell, or on the side.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa, type Options } from 'execa';
import { onTestFinished } from 'vitest';
import { writeNpy } from '../../src/formats/npy.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const FAULTS = new URL('./faults.mjs', import.meta.url).href;

export interface Fault {
  /** Functions of node:fs whose calls are counted together. */
  calls: string[];
  /** The call that goes wrong, counted from 1. */
  at: number;
  /** Error of the system that it ends in, such as ENOSPC. Without one the process is killed there. */
  code?: string;
  /** Count only calls whose path holds this. */
  path?: string;
  /** All later calls fail as well. */
  forever?: boolean;
}

export interface Outcome {
  /** Undefined after a signal. */
  code: number | undefined;
  signal?: string;
  out: string;
  err: string;
}

export interface Started {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<Outcome>;
}

function begin(file: string, args: readonly string[], options: Options): Started {
  const child = execa(file, args, { ...options, reject: false });
  return {
    pid: child.pid!,
    kill: (signal) => void child.kill(signal),
    ended: child.then(({ exitCode, signal, stdout, stderr }) => ({
      code: exitCode,
      ...(signal && { signal }),
      out: String(stdout),
      err: String(stderr),
    })),
  };
}

export const startDwp = (args: readonly string[], fault?: Fault): Started =>
  begin(process.execPath, [...(fault ? ['--import', FAULTS] : []), MAIN, ...args], {
    env: { DWP_FAULT: JSON.stringify(fault) },
  });

/** @returns what a shell would see; never throws for an exit code */
export const dwp = (...args: string[]): Promise<Outcome> => startDwp(args).ended;

export const dwpWith = (fault: Fault, ...args: string[]): Promise<Outcome> => startDwp(args, fault).ended;

/** Runs a script of bash in which `dwp` is the program. */
export const shell = (script: string): Promise<Outcome> =>
  begin(
    'bash',
    ['-c', `dwp() { ${JSON.stringify(process.execPath)} ${JSON.stringify(MAIN)} "$@"; }\n${script}`],
    {},
  ).ended;

/** A folder of one test, removed after it. */
export function scratch(): (...names: string[]) => string {
  const folder = mkdtempSync(join(tmpdir(), 'dwp-rough-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return (...names) => join(folder, ...names);
}

/** Everything in a folder, hidden files among it. */
export const entries = (folder: string): string[] => readdirSync(folder).sort();

/** Waits until something is there. @throws Error after a minute */
export async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 1200; i++) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come to that in a minute');
}

/** 60 kernels of 3×3 as a .npy file. */
export function writeKernels(path: string): string {
  mkdirSync(join(path, '..'), { recursive: true });
  const data = Float32Array.from({ length: 60 * 9 }, (_, i) => Math.sin(12.9898 * (i + 1) ** 1.5));
  writeNpy(path, { data, shape: [60, 3, 3] });
  return path;
}

/** Options of a training that takes a second. */
export const QUICK = [
  ...['--examples', '10', '--channels', '2', '3', '--components', '1', '--steps', '3'],
  ...['--validation', '50', '--samples', '2', '--threads', '1'],
];
/** Options of one that has to be stopped. */
export const LONG = [...QUICK, '--steps', '1000000', '--checkpoint-every', '0.2'];
