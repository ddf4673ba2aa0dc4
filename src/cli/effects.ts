// The only part of the project that touches the terminal: messages and progress go to stderr.
import cliProgress from 'cli-progress';
import picocolors from 'picocolors';
import { printable, printableLine } from './printable.js';

/** Shows how far a long piece of work is; silent until it has lasted over a second. */
export interface Progress {
  /** `done` of the total given at the start; `detail` is a short text such as `loss 2.31`. */
  update(done: number, detail?: string): void;
  stop(): void;
}

export interface Effects {
  /** Aborted by Ctrl-C or SIGTERM: write a checkpoint, then throw DwpError INTERRUPTED. */
  readonly signal: AbortSignal;
  info(line: string): void;
  warn(line: string): void;
  /** Only with -v. */
  detail(line: string): void;
  progress(label: string, total: number): Progress;
}

export type Verbosity = 'quiet' | 'normal' | 'verbose';

const PLAIN_LINE_EVERY_MS = 10_000;

export function terminalEffects(verbosity: Verbosity, signal: AbortSignal): Effects {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const quiet = verbosity === 'quiet';
  // only on a terminal: the library alone would colour what a CI server logs or a pipe takes, too
  const colours = picocolors.createColors(
    process.stderr.isTTY === true && process.env.TERM !== 'dumb' && picocolors.isColorSupported,
  );
  return {
    signal,
    info: (line) => quiet || say(printable(line)),
    warn: (line) => quiet || say(colours.yellow(printable(`warning: ${line}`))),
    detail: (line) => verbosity === 'verbose' && say(colours.dim(printable(line))),
    progress: (label, total) => {
      if (quiet) return { update() {}, stop() {} };
      const drawn = process.stderr.isTTY && process.env.TERM !== 'dumb'; // such a terminal cannot move its cursor
      return drawn ? barProgress(label, total) : lineProgress(label, total, say);
    },
  };
}

function barProgress(label: string, total: number): Progress {
  const bar = new cliProgress.SingleBar(
    {
      format: `${label} {bar} {percentage}% · {value}/{total} · ETA {eta_formatted} · {detail}`,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 24,
      etaBuffer: 50,
      fps: 5,
    },
    cliProgress.Presets.shades_classic,
  );
  bar.start(total, 0, { detail: '' });
  return {
    update: (done, detail = '') => bar.update(done, { detail: printableLine(detail) }),
    stop: () => bar.stop(),
  };
}

function lineProgress(label: string, total: number, say: (line: string) => void): Progress {
  const start = Date.now();
  let last = start;
  return {
    update(done, detail = '') {
      const now = Date.now();
      if (now - last < PLAIN_LINE_EVERY_MS || done === 0) return;
      last = now;
      const eta = Math.round((((now - start) / done) * (total - done)) / 1000);
      say(`${label}: ${done}/${total} · ETA ${eta} s${detail ? ` · ${printableLine(detail)}` : ''}`);
    },
    stop() {},
  };
}
