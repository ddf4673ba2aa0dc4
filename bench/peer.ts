// Who does the work: a child process for us and for each peer, spoken to line by line (see peers/common.py).
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Clock } from './clock.js';
import { PEERS, ROOT } from './paths.js';

export const PEER_NAMES = ['torch', 'jax'] as const;
export type PeerName = (typeof PEER_NAMES)[number];

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));

const WINDOWS = process.platform === 'win32';
/** Made by `npm run bench:setup`. */
const VENV = join(ROOT, 'bench/.venv', WINDOWS ? 'Scripts/python.exe' : 'bin/python');

/** The first Python that can import the framework, or undefined; the environment decides if it says anything. */
export function findPython(peer: PeerName | 'onnx'): string | undefined {
  const chosen = process.env[`BENCH_${peer.toUpperCase()}_PYTHON`];
  const candidates = chosen ? [chosen] : [VENV, 'python3', '/usr/bin/python3', 'python'];
  return candidates.find((python) => {
    if (python.includes('/') && !existsSync(python)) return false;
    try {
      execFileSync(python, ['-c', `import numpy, ${peer}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}

/** A framework at work on one case in a child process. */
export interface Contestant {
  name: PeerName | 'dwp';
  /** Version and settings, as it reports them. */
  what: string;
  losses: number[][];
  /** Does that many units of work. @returns milliseconds per unit */
  run(units: number): Promise<number>;
  stop(): void;
}

export interface WorkOptions {
  threads: number;
  clock: Clock;
}

/**
 * Our side of a case, which writes the reference for the peers.
 * @param file to be written
 * @throws Error as {@link startPeer}
 */
export const startOurs = (caseName: string, file: string, { threads, clock }: WorkOptions) =>
  start('dwp', process.execPath, [WORKER, caseName, file, String(threads), clock], threads);

/**
 * @param file reference of the case
 * @throws Error when it ends before it has answered; what it printed is on stderr
 */
export const startPeer = (name: PeerName, python: string, file: string, { threads, clock }: WorkOptions) =>
  start(name, python, [join(PEERS, `${name}_peer.py`), file, String(threads), clock], threads);

async function start(
  name: Contestant['name'],
  program: string,
  args: readonly string[],
  threads: number,
): Promise<Contestant> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      OMP_NUM_THREADS: String(threads),
      OPENBLAS_NUM_THREADS: String(threads),
      MKL_NUM_THREADS: String(threads),
    },
  });
  const next = answers(name, child);
  const { losses, what } = (await next()) as { losses: number[][]; what: string };
  return {
    name,
    what,
    losses,
    async run(units) {
      child.stdin!.write(`run ${units}\n`);
      return ((await next()) as { ms: number }).ms;
    },
    stop: () => child.stdin!.end(),
  };
}

/** One parsed line of the child's output per call. */
function answers(name: string, child: ChildProcess): () => Promise<unknown> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name} ended before it answered`);
    return JSON.parse(value);
  };
}
