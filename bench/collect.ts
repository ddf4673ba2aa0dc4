// How fast dwp collect-kernels is, and in how much memory, beside the same job done with Python's onnx and numpy.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeLargeModel, writeModels } from './collect-models.js';
import { PEERS, ROOT } from './paths.js';
import { findPython } from './peer.js';
import { median } from './statistics.js';

export const COLLECT_NAME = 'collect';

export interface CollectRun {
  /** Wall-clock and processor time of the process, from its start to its end, in seconds. */
  seconds: number;
  cpuSeconds: number;
  /** Largest resident memory, in bytes. */
  peak: number;
}

export interface CollectResult {
  /** Of all models together. */
  bytes: number;
  /** Where the result was written. */
  place: string;
  ours: CollectRun[];
  peer: CollectRun[];
  /** One tensor of `bytes` alone. */
  large: { bytes: number; peak: number };
}

/** Kernels of 3×3 in the large tensor: 151 MB. */
const LARGE = 2 ** 22;

const REPORT = `data:text/javascript,${encodeURIComponent(
  "import { writeSync } from 'node:fs';" +
    "process.on('exit', () => { const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();" +
    'writeSync(2, JSON.stringify({ peak: maxRSS * 1024, cpuSeconds: (userCPUTime + systemCPUTime) / 1e6 })); });',
)}`;

/** Runs take turns, so that a busy moment of the machine meets both. */
export function timeCollect(
  rounds: number,
  threads: number,
  progress: (message: string) => void,
): CollectResult {
  const python = findPython('onnx');
  if (!python)
    progress('no Python with onnx and numpy: the peer of collect is left out (see bench/README.md)');
  const folder = mkdtempSync(join(tmpdir(), 'dwp-bench-collect-'));
  // a file system in memory where there is one: the speed of the disk is not what is compared
  const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const results = mkdtempSync(join(place, 'dwp-bench-collect-'));
  try {
    progress('collect: writing a gigabyte of models');
    const bytes = writeModels(folder);
    const result: CollectResult = { bytes, place, ours: [], peer: [], large: { bytes: 0, peak: 0 } };
    for (let round = 0; round < rounds; round++) {
      progress(`collect: round ${round + 1} of ${rounds}`);
      result.ours.push(ours(folder, join(results, `ours${round}`), threads));
      if (python) result.peer.push(peer(python, folder, join(results, `peer${round}`)));
      for (const name of readdirSync(results)) rmSync(join(results, name), { recursive: true });
    }
    rmSync(folder, { recursive: true });
    const alone = mkdtempSync(join(tmpdir(), 'dwp-bench-collect-'));
    try {
      result.large.bytes = writeLargeModel(alone, LARGE);
      result.large.peak = ours(alone, join(results, 'large'), threads).peak;
    } finally {
      rmSync(alone, { recursive: true });
    }
    return result;
  } finally {
    for (const path of [folder, results]) rmSync(path, { recursive: true, force: true });
  }
}

function ours(models: string, out: string, threads: number): CollectRun {
  const args = ['collect-kernels', models, '--out', out, '--threads', String(threads), '--quiet'];
  const { seconds, stderr } = run(process.execPath, [
    '--import',
    REPORT,
    join(ROOT, 'dist/cli/main.js'),
    ...args,
  ]);
  return { seconds, ...JSON.parse(stderr) };
}

function peer(python: string, models: string, out: string): CollectRun {
  const { seconds, stdout } = run(python, [join(PEERS, 'collect_onnx.py'), models, out]);
  const { peak, cpuSeconds } = JSON.parse(stdout);
  return { seconds, cpuSeconds, peak };
}

function run(program: string, args: readonly string[]): { seconds: number; stdout: string; stderr: string } {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${program} ended with exit code ${status}: ${stderr}`);
  return { seconds: (performance.now() - started) / 1000, stdout, stderr };
}

/** Two lines of a table, and how many times as fast we are. */
export function collectTable({ bytes, place, ours, peer, large }: CollectResult): string {
  const mb = (x: number) => String(Math.round(x / 1e6));
  const row = (who: string, runs: readonly CollectRun[]) => {
    const seconds = median(runs.map((one) => one.seconds));
    const cpu = median(runs.map((one) => one.cpuSeconds));
    const peak = Math.max(...runs.map((one) => one.peak));
    return `| ${who} | ${mb(bytes / seconds)} | ${seconds.toFixed(2)} | ${cpu.toFixed(2)} | ${mb(peak)} |`;
  };
  const lines = [
    `| collecting ${mb(bytes)} MB of ONNX to ${place} | MB/s | seconds | CPU seconds | peak MB |`,
    '| --- | --- | --- | --- | --- |',
    row('dwp collect-kernels', ours),
  ];
  if (peer.length > 0) lines.push(row('onnx and numpy', peer));
  const times = (of: 'seconds' | 'cpuSeconds') =>
    (median(peer.map((one) => one[of])) / median(ours.map((one) => one[of]))).toFixed(1);
  lines.push('');
  if (peer.length > 0)
    lines.push(`${times('seconds')} times as fast, with ${times('cpuSeconds')} times less processor time.`);
  lines.push(`A model of one tensor of ${mb(large.bytes)} MB alone: peak ${mb(large.peak)} MB.`);
  return lines.join('\n');
}
