// What other processes do to the measurements: how busy the CPUs are while nobody here works, and waiting for them.
import { cpus } from 'node:os';

const INTERVAL = 100;
/** Share of the CPUs' time that others may take in a quiet interval. */
const QUIET = 0.1;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function ticks(): { idle: number; all: number } {
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, t) => sum + t.idle, 0);
  return { idle, all: times.reduce((sum, t) => sum + t.user + t.nice + t.sys + t.irq, idle) };
}

/**
 * A pause in which threads of whoever has just run stop waiting for work; goes on until the CPUs are quiet or
 * `patience` milliseconds have passed.
 * @returns the share of the CPUs' time that was used in the last interval
 */
export async function pauseUntilQuiet(patience: number): Promise<number> {
  const started = performance.now();
  await sleep(INTERVAL);
  for (;;) {
    const before = ticks();
    await sleep(INTERVAL);
    const after = ticks();
    const all = after.all - before.all;
    const busy = all > 0 ? 1 - (after.idle - before.idle) / all : 0;
    if (busy <= QUIET || performance.now() - started > patience) return busy;
  }
}
