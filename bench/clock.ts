// What is measured: time that passes, or time that the CPUs work for a process. On one thread and a busy machine the
// second is the better measure; on several threads it counts those that only wait.

export const CLOCKS = ['wall', 'cpu'] as const;
export type Clock = (typeof CLOCKS)[number];

let clock: Clock = 'wall';

export const setClock = (chosen: Clock): void => {
  clock = chosen;
};

/** Milliseconds since some moment. */
export function now(): number {
  if (clock === 'wall') return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
