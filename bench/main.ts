// npm run bench: our speed beside that of other frameworks. Progress goes to stderr, the table to stdout.
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { cases } from './cases/index.js';
import { CLOCKS, setClock } from './clock.js';
import { COLLECT_NAME, collectTable, timeCollect } from './collect.js';
import { findPython, PEER_NAMES, type PeerName } from './peer.js';
import { type CaseResult, runCase } from './run-case.js';
import { START_NAMES, timeStarts } from './start.js';
import { toMarkdown } from './table.js';

const USAGE = `npm run bench -- [options]
  NAME, --case NAME   only cases whose names begin so; may be repeated: ${[...cases.map(({ name }) => name), ...START_NAMES, COLLECT_NAME].join(', ')}
  --rounds N      interleaved rounds (7)
  --seconds S     length of one measurement (1)
  --patience S    wait so long before each measurement for other processes to leave the CPUs (0)
  --clock NAME    wall, or cpu: time of CPUs, for --threads 1 on a busy machine (wall)
  --threads N     of every contestant (2)
  --peers LIST    torch,jax
  --json FILE     all figures`;

const progress = (message: string) => process.stderr.write(`${message}\n`);

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      case: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '1' },
      patience: { type: 'string', default: '0' },
      clock: { type: 'string', default: 'wall' },
      threads: { type: 'string', default: '2' },
      peers: { type: 'string', default: PEER_NAMES.join(',') },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(`${USAGE}\n`);
  const number = (name: 'rounds' | 'seconds' | 'patience' | 'threads', fits: (x: number) => boolean) => {
    const x = Number(values[name]);
    if (!fits(x)) throw new Error(`--${name} ${values[name]}\n${USAGE}`);
    return x;
  };
  const counts = (x: number) => Number.isInteger(x) && x > 0;
  const asked = values.peers.split(',').filter(Boolean);
  const unknown = asked.find((name) => !PEER_NAMES.includes(name as PeerName));
  if (unknown) throw new Error(`--peers ${unknown}: known are ${PEER_NAMES.join(', ')}`);
  const names = [...(values.case ?? []), ...positionals];
  const chosen = (name: string) => names.length === 0 || names.some((start) => name.startsWith(start));
  const selected = cases.filter(({ name }) => chosen(name));
  if (selected.length === 0 && ![...START_NAMES, COLLECT_NAME].some(chosen))
    throw new Error(`no such case\n${USAGE}`);

  const clock = CLOCKS.find((name) => name === values.clock);
  if (!clock) throw new Error(`--clock ${values.clock}\n${USAGE}`);
  setClock(clock);
  const threads = number('threads', counts);
  const pythons = new Map<PeerName, string>();
  for (const peer of selected.length > 0 ? (asked as PeerName[]) : []) {
    const python = findPython(peer);
    if (python) pythons.set(peer, python);
    else progress(`no Python with ${peer} and numpy: ${peer} is left out (see bench/README.md)`);
  }
  const options = {
    rounds: number('rounds', counts),
    threads,
    clock,
    duration: 1000 * number('seconds', (x) => x > 0),
    patience: 1000 * number('patience', (x) => x >= 0),
    pythons,
    progress,
  };
  const results: CaseResult[] = [];
  for (const benchmark of selected) results.push(await runCase(benchmark, options));
  const starts = timeStarts(chosen);
  const collect = chosen(COLLECT_NAME)
    ? timeCollect(Math.min(3, options.rounds), threads, progress)
    : undefined;

  const peers = [...pythons.keys()];
  const tables = [toMarkdown(results, peers, starts), ...(collect ? [collectTable(collect)] : [])];
  process.stdout.write(`${tables.filter(Boolean).join('\n\n')}\n`);
  if (values.json) {
    const machine = { cpu: cpus()[0]?.model.trim(), cpus: cpus().length, node: process.version };
    const report = { machine, threads, clock, rounds: options.rounds, cases: results, starts, collect };
    writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  }
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
});
