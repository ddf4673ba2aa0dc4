// Hostile inputs against every importer of dist/, guided by the code that they reach: `npm run fuzz -- --help`.
// A process per format makes and reads the inputs (test/importers/hostile/child.ts). It may read the project and its
// own folder and write nothing but the latter; when it hangs or dies, its input is kept and another takes over.
import { fork } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { instrument } from './instrument.mjs';

const USAGE = `node scripts/fuzz.mjs [options]
  --format <name...>   importers to try (default: all)
  --inputs <n>         inputs of each (default: 100000)
  --seconds <n>        end each after this time (default: none)
  --seed <n>           of the inputs (default: 0)
  --replay <folder>    read one kept input again
  --json               the summary as JSON`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FINDINGS = join(ROOT, 'build', 'fuzz', 'findings');
/** Of this run alone; below the project, for the sake of node_modules. */
const OUT = join(ROOT, 'build', 'fuzz', String(process.pid));
/** In memory where the system has a place for that: most of the time is spent on small files. */
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const LONGEST_MS = 2000;
/** Wall time; CPU time is measured where the input is read. */
const HANGING_MS = 30_000;
const HEAP_MB = 400;
/** A process and what it has found to go on from are given up after this many inputs: libraries grow with use. */
const STRETCH = 2000;

const { values } = parseArgs({
  options: {
    format: { type: 'string', multiple: true },
    inputs: { type: 'string', default: '100000' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: '0' },
    replay: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
if (!existsSync(join(ROOT, 'dist'))) throw new Error('dist/ is missing: npm run build');
const inputs = Number(values.inputs);
const target = join(OUT, 'dist');
instrument(join(ROOT, 'dist'), target, ['importers', 'formats']);
await build({
  entryPoints: [join(ROOT, 'test/importers/hostile/child.ts')],
  ...{ outfile: join(OUT, 'child.mjs'), bundle: true, packages: 'external', platform: 'node', format: 'esm' },
});
const { importers } = await import(pathToFileURL(join(target, 'importers/index.js')).href);
const known = importers.map((/** @type {{ format: string }} */ { format }) => format);
const formats = values.format ?? (values.replay ? [noteOf(values.replay).format] : known);
for (const format of formats)
  if (!known.includes(format)) throw new Error(`--format ${format}: not one of ${known.join(', ')}`);

const rows = [];
for (const format of formats) rows.push(await fuzz(format));
rmSync(OUT, { recursive: true });
const total = rows.reduce((sum, { findings }) => sum + findings, 0);
if (values.json) console.log(JSON.stringify(rows, null, 2));
else console.table(Object.fromEntries(rows.map(({ format, ...row }) => [format, row])));
if (total > 0) console.error(`findings are in ${FINDINGS}; read one again with --replay <folder>`);
process.exit(total > 0 ? 1 : 0);

/**
 * @typedef {import('../test/importers/hostile/child.js').Progress} Progress
 * @typedef {import('../test/importers/hostile/child.js').Message} Message
 * @typedef {Omit<Extract<Message, { kind: 'finding' }>, 'kind'> & { folder: string }} Found
 */

/** All inputs of one format, by as many processes as it takes. @param {string} format */
async function fuzz(format) {
  const started = Date.now();
  /** @type {Map<string, number>} by what happened, without its numbers */
  const findings = new Map();
  /** @type {Progress[]} */
  const past = [];
  const deadline = values.seconds ? started + 1000 * Number(values.seconds) : Number.POSITIVE_INFINITY;
  const to = values.replay ? 1 : inputs;
  for (let from = 0; from < to && Date.now() < deadline; ) {
    const scratch = realpathSync(mkdtempSync(join(SCRATCH, 'dwp-fuzz-')));
    const end = Math.min(to, from + STRETCH);
    const { progress, death } = await runChild(format, from, end, deadline, scratch, (found) =>
      keep(findings, format, found),
    );
    past.push(progress);
    from += progress.done;
    if (death) {
      keep(findings, format, death);
      from = death.index + 1;
    }
    rmSync(scratch, { recursive: true, force: true });
  }
  /** @param {'done' | 'accepted' | 'refused' | 'layers'} field */
  const sum = (field) => past.reduce((n, one) => n + one[field], 0);
  /** @param {'slowest' | 'largest' | 'blocks' | 'seedBlocks' | 'corpus'} field */
  const most = (field) => Math.max(0, ...past.map((one) => one[field]));
  process.stderr.write('\r\x1b[K');
  return {
    format,
    inputs: sum('done'),
    accepted: sum('accepted'),
    refused: sum('refused'),
    layers: sum('layers'),
    findings: findings.size,
    'slowest ms': Math.round(most('slowest')),
    'largest KiB': Math.round(most('largest') / 1024),
    blocks: most('blocks'),
    'new blocks': most('blocks') - most('seedBlocks'),
    corpus: most('corpus'),
    seconds: Math.round((Date.now() - started) / 1000),
  };
}

/**
 * One process, until it is done, hangs or dies.
 *
 * @param {string} format
 * @param {number} from
 * @param {number} to
 * @param {number} deadline
 * @param {string} scratch
 * @param {(found: Found) => void} found
 * @returns {Promise<{ progress: Progress, death?: Found }>}
 */
function runChild(format, from, to, deadline, scratch, found) {
  const input = join(scratch, 'input');
  mkdirSync(input);
  let replay;
  if (values.replay) {
    cpSync(join(values.replay, 'input'), input, { recursive: true });
    replay = noteOf(values.replay).name;
  }
  const fixtures = join(ROOT, 'test/fixtures');
  /** @type {import('../test/importers/hostile/child.js').Job} */
  const job = {
    ...{ target, fixtures, format, seed: Number(values.seed), from, to, scratch, longest: LONGEST_MS },
    ...(replay && { replay }),
  };
  const modules = join(ROOT, 'node_modules');
  const readable = [...new Set([ROOT, modules, realpathSync(modules), scratch])];
  const child = fork(join(OUT, 'child.mjs'), [JSON.stringify(job)], {
    execArgv: [
      ...['--no-warnings', '--experimental-permission', '--allow-worker', `--max-old-space-size=${HEAP_MB}`],
      ...readable.map((path) => `--allow-fs-read=${join(path, '*')}`),
      `--allow-fs-write=${join(scratch, '*')}`,
    ],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  return new Promise((settle, fail) => {
    /** @type {Progress} */
    let progress = {
      done: 0,
      accepted: 0,
      layers: 0,
      refused: 0,
      slowest: 0,
      largest: 0,
      blocks: 0,
      seedBlocks: 0,
      corpus: 0,
    };
    let [errors, what, ended] = ['', '', false];
    const started = Date.now();
    child.stderr?.on('data', (text) => {
      errors = `${errors}${text}`.slice(-4000);
    });
    child.on('message', (/** @type {Message} */ message) => {
      if (message.kind === 'finding')
        return found({ ...message, folder: join(scratch, `found-${message.index}`) });
      progress = message.progress;
      if (message.kind === 'end') ended = true;
      else if (Date.now() > deadline) {
        ended = true;
        child.kill('SIGKILL');
      } else showProgress(format, from + progress.done, values.replay ? 1 : inputs, from, started);
    });
    // every input begins with a new note of its number: an old note is a hang
    const timer = setInterval(() => {
      const noted =
        statSync(join(scratch, 'current'), { throwIfNoEntry: false })?.mtimeMs ?? started + 20_000;
      if (Date.now() - noted < HANGING_MS || ended) return;
      what = `hangs for over ${HANGING_MS / 1000} s`;
      child.kill('SIGKILL');
    }, 250);
    child.on('exit', (code, signal) => {
      clearInterval(timer);
      if (!ended && !what) what = `the process ends with ${signal ?? `code ${code}`}: ${errors}`;
      if (!what) return settle({ progress });
      const current = join(scratch, 'current');
      if (!replay && !existsSync(current)) return fail(new Error(what)); // before its first input
      const note = replay ? `${from} ${replay}` : readFileSync(current, 'utf8');
      const space = note.indexOf(' ');
      const [index, name] = [Number(note.slice(0, space)), note.slice(space + 1)];
      settle({
        progress: { ...progress, done: index + 1 - from },
        death: { index, name, what, stack: '', folder: input },
      });
    });
  });
}

/** @param {string} format @param {number} done @param {number} to @param {number} from @param {number} started */
function showProgress(format, done, to, from, started) {
  const left = ((Date.now() - started) / Math.max(1, done - from)) * (to - done);
  process.stderr.write(`\r\x1b[K${format}: ${done} of ${to}, ${Math.round(left / 1000)} s left`);
}

/**
 * Keeps the first input of every kind of finding, with a note of what it did.
 *
 * @param {Map<string, number>} findings
 * @param {string} format
 * @param {Found} found
 */
function keep(findings, format, { index, name, what, stack, folder }) {
  const place = stack.split('\n').find((line) => /^\s+at /.test(line)) ?? '';
  const kind = `${what.replace(/"[^"]*"|\d+/g, '#').slice(0, 40)} ${place}`;
  findings.set(kind, (findings.get(kind) ?? 0) + 1);
  if (values.replay) process.stderr.write(`${what}\n${stack}\n`);
  if (findings.get(kind) !== 1 || values.replay) return;
  const kept = join(FINDINGS, `${format}-${values.seed}-${index}`);
  rmSync(kept, { recursive: true, force: true });
  cpSync(folder, join(kept, 'input'), { recursive: true });
  writeFileSync(join(kept, 'finding.json'), JSON.stringify({ format, index, name, what, stack }, null, 2));
  process.stderr.write(`\r\x1b[K${format}: input ${index}: ${what.slice(0, 300)}\n  kept in ${kept}\n`);
}

/** @param {string} kept @returns {{ format: string, name: string }} */
function noteOf(kept) {
  return JSON.parse(readFileSync(join(kept, 'finding.json'), 'utf8'));
}
