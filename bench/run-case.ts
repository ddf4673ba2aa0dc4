// One case: ours and the peers' work prepared, compared, and timed in interleaved rounds.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { disagreement, TOLERANCE } from './agreement.js';
import { type Case, WARM_UP } from './case.js';
import { type Contestant, type PeerName, startOurs, startPeer, type WorkOptions } from './peer.js';
import { pauseUntilQuiet } from './quiet.js';
import { median, type Ratio, ratioOf } from './statistics.js';

export interface CaseResult {
  name: string;
  title: string;
  unit: Case['unit'];
  gflop: number;
  target?: number;
  /** Milliseconds per unit in each round, by who did it: `dwp`, `torch`, `jax`. */
  rounds: Record<string, number[]>;
  /** Medians of the rounds. */
  ms: Record<string, number>;
  /** Our time over that of each peer. */
  ratios: Record<string, Ratio>;
  /** Largest relative difference of each peer's losses from ours. */
  disagreement: Record<string, number>;
  /** Versions of the peers. */
  what: Record<string, string>;
  /** Median share of the CPUs that other processes used just before measurements, 0 to 1. */
  busy: number;
}

export interface RunOptions extends WorkOptions {
  rounds: number;
  /** Milliseconds that one measurement should take. */
  duration: number;
  /** Milliseconds to wait before each measurement for other processes to leave the CPUs. */
  patience: number;
  /** Interpreters of the peers that are installed. */
  pythons: ReadonlyMap<PeerName, string>;
  progress(message: string): void;
}

export async function runCase(benchmark: Case, options: RunOptions): Promise<CaseResult> {
  const { rounds, duration, patience, pythons, progress } = options;
  const { name, title, unit, gflop, target } = benchmark;
  progress(`${name}: preparing`);
  const folder = mkdtempSync(join(tmpdir(), 'dwp-bench-'));
  const file = join(folder, 'reference.safetensors');
  const contestants: Contestant[] = [];
  const result: CaseResult = {
    name,
    title,
    unit,
    gflop,
    target,
    rounds: {},
    ms: {},
    ratios: {},
    disagreement: {},
    what: {},
    busy: 0,
  };
  const busy: number[] = [];
  try {
    const ours = await startOurs(name, file, options);
    contestants.push(ours);
    for (const [peerName, python] of pythons) {
      const peer = await startPeer(peerName, python, file, options);
      const difference = disagreement(ours.losses, peer.losses);
      result.disagreement[peerName] = difference;
      result.what[peerName] = peer.what;
      progress(`${name}: ${peer.what}: losses differ by ${difference.toExponential(1)} at most`);
      if (difference <= TOLERANCE) contestants.push(peer);
      else {
        peer.stop();
        progress(
          `  above ${TOLERANCE}: not timed\n  ours   ${JSON.stringify(ours.losses)}\n  theirs ${JSON.stringify(peer.losses)}`,
        );
      }
    }
    const units = new Map<Contestant, number>();
    for (const contestant of contestants) {
      await pauseUntilQuiet(patience);
      await contestant.run(WARM_UP);
      units.set(contestant, Math.max(1, Math.round(duration / (await contestant.run(WARM_UP)))));
      result.rounds[contestant.name] = [];
    }
    for (let round = 0; round < rounds; round++) {
      for (const contestant of contestants) {
        busy.push(await pauseUntilQuiet(patience));
        if (contestant !== ours) await contestant.run(WARM_UP); // ours does it by itself
        result.rounds[contestant.name].push(await contestant.run(units.get(contestant)!));
      }
      const line = contestants.map(({ name }) => `${name} ${result.rounds[name][round].toFixed(2)} ms`);
      progress(`${name}: round ${round + 1} of ${rounds}: ${line.join(', ')}`);
    }
  } finally {
    for (const contestant of contestants) contestant.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  result.busy = median(busy);
  for (const [who, times] of Object.entries(result.rounds)) {
    result.ms[who] = median(times);
    if (who !== 'dwp') result.ratios[who] = ratioOf(result.rounds.dwp, times);
  }
  return result;
}
