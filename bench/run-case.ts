// One case: ours and the peers' work prepared, compared, and timed in interleaved rounds.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../src/engine/index.js';
import { writeSafetensors } from '../src/formats/safetensors.js';
import { disagreement, TOLERANCE } from './agreement.js';
import { type Case, WARM_UP } from './case.js';
import type { Clock } from './clock.js';
import { type Peer, type PeerName, startPeer } from './peer.js';
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

export interface RunOptions {
  rounds: number;
  threads: number;
  clock: Clock;
  /** Milliseconds that one measurement should take. */
  duration: number;
  /** Milliseconds to wait before each measurement for other processes to leave the CPUs. */
  patience: number;
  /** Interpreters of the peers that are installed. */
  pythons: ReadonlyMap<PeerName, string>;
  progress(message: string): void;
}

export async function runCase(
  benchmark: Case,
  engine: Engine,
  { rounds, threads, clock, duration, patience, pythons, progress }: RunOptions,
): Promise<CaseResult> {
  const { name, title, unit, gflop, target } = benchmark;
  progress(`${name}: preparing`);
  const prepared = await benchmark.prepare(engine);
  const { tensors, settings, losses } = prepared.reference;
  const folder = mkdtempSync(join(tmpdir(), 'dwp-bench-'));
  const file = join(folder, 'reference.safetensors');
  writeSafetensors(file, tensors, { settings: JSON.stringify({ ...settings, peer: benchmark.peer }) });

  const peers: Peer[] = [];
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
    for (const [peerName, python] of pythons) {
      const peer = await startPeer(peerName, python, file, threads, clock);
      const difference = disagreement(losses, peer.losses);
      result.disagreement[peerName] = difference;
      result.what[peerName] = peer.what;
      const agrees = difference <= TOLERANCE;
      progress(
        `${name}: ${peer.what}: losses differ by ${difference.toExponential(1)} at most${agrees ? '' : `, above ${TOLERANCE}: not timed\n  ours   ${JSON.stringify(losses)}\n  theirs ${JSON.stringify(peer.losses)}`}`,
      );
      if (agrees) peers.push(peer);
      else peer.stop();
    }
    const contestants: { name: string; measure(units: number): Promise<number>; units: number }[] = [
      { name: 'dwp', measure: prepared.time, units: 1 },
      ...peers.map((peer) => ({
        name: peer.name,
        units: 1,
        async measure(units: number) {
          await peer.run(WARM_UP);
          return peer.run(units);
        },
      })),
    ];
    for (const contestant of contestants) {
      await pauseUntilQuiet(patience);
      const ms = await contestant.measure(WARM_UP);
      contestant.units = Math.max(1, Math.round(duration / ms));
      result.rounds[contestant.name] = [];
    }
    for (let round = 0; round < rounds; round++) {
      for (const { name, measure, units } of contestants) {
        busy.push(await pauseUntilQuiet(patience));
        result.rounds[name].push(await measure(units));
      }
      const line = contestants.map(({ name }) => `${name} ${result.rounds[name][round].toFixed(2)} ms`);
      progress(`${name}: round ${round + 1} of ${rounds}: ${line.join(', ')}`);
    }
  } finally {
    for (const peer of peers) peer.stop();
    await prepared.release();
    rmSync(folder, { recursive: true, force: true });
  }
  result.busy = median(busy);
  for (const [who, times] of Object.entries(result.rounds)) {
    result.ms[who] = median(times);
    if (who !== 'dwp') result.ratios[who] = ratioOf(result.rounds.dwp, times);
  }
  return result;
}
