// The process that a fuzz run starts for one format: makes inputs, reads them, keeps those that reach new code.
// What it does at the moment lies in its folder, so that the parent has the input when this process hangs or dies.
import { cpSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import type { openSource as OpenSource } from '../../../src/formats/source.js';
import type { Importer } from '../../../src/importers/index.js';
import { type HostileModel, Random } from './model.js';
import { mutate } from './mutate.js';
import { hostileModels } from './sources.js';
import { Finding, layOut, survive } from './survive.js';
import { keepThreads } from './threads.js';

export interface Job {
  /** The instrumented build. */
  target: string;
  fixtures: string;
  format: string;
  seed: number;
  /** First input and the one after the last. */
  from: number;
  to: number;
  /** Read the model of this name that lies in `input` already, once. */
  replay?: string;
  /** Only here may be written: `input` holds the files of one input, `current` its number and name. */
  scratch: string;
  /** CPU time of one input, milliseconds. */
  longest: number;
}

export interface Progress {
  done: number;
  accepted: number;
  /** Layers whose weights could be read. */
  layers: number;
  refused: number;
  /** CPU time in milliseconds. */
  slowest: number;
  largest: number;
  /** Instrumented blocks reached so far, and those that the seeds alone had reached. */
  blocks: number;
  seedBlocks: number;
  corpus: number;
}

export type Message =
  | { kind: 'progress'; progress: Progress }
  /** The input is copied to `found-<index>` of the scratch folder. */
  | { kind: 'finding'; index: number; name: string; what: string; stack: string }
  | { kind: 'end'; progress: Progress };

const job = JSON.parse(process.argv[2]) as Job;
const input = join(job.scratch, 'input');
const send = (message: Message) => process.send!(message);

// ---- what the importers do with files

const READING = /^(open|read|close|fstat|stat|lstat|realpath|exists|access)(Sync)?$|^(readdir|opendir)/;
let watching = false;
let offence = '';
const fs = createRequire(import.meta.url)('node:fs') as Record<string, unknown> & typeof import('node:fs');
for (const [name, original] of Object.entries(fs)) {
  if (typeof original !== 'function' || !/^[a-z]/.test(name)) continue;
  const watched = (...args: unknown[]) => {
    if (watching) {
      const [path, flags] = args;
      if (!READING.test(name) || (name.startsWith('open') && !isReading(flags)))
        offence ||= `calls fs.${name}`;
      else if (/^(open|read|opendir)/.test(name) && typeof path === 'string' && leadsOut(path))
        offence ||= `fs.${name} of ${path}`;
    }
    return (original as (...all: unknown[]) => unknown)(...args);
  };
  (fs as Record<string, unknown>)[name] = Object.assign(watched, original);
}
syncBuiltinESMExports();

const isReading = (flags: unknown) =>
  flags === 'r' ||
  (typeof flags === 'number' && (flags & ~fs.constants.O_NONBLOCK) === fs.constants.O_RDONLY);

const leadsOut = (path: string) => !`${resolve(path)}${sep}`.startsWith(`${input}${sep}`);

// ---- what of them has run: counters of the instrumented build, by powers of two

const counters = new Uint32Array(1 << 16);
(globalThis as { __blocks?: Uint32Array }).__blocks = counters;
const reached = new Uint8Array(counters.length);

/** @returns whether a block ran that had not, or more often than ever; forgets the counts */
function isNew(): boolean {
  let fresh = false;
  for (let i = 0; i < counters.length; i++) {
    if (counters[i] === 0) continue;
    const times = 33 - Math.clz32(counters[i]);
    counters[i] = 0;
    if (times <= reached[i]) continue;
    reached[i] = times;
    fresh = true;
  }
  return fresh;
}

// ---- the run

keepThreads();
const { importers } = (await load('importers/index.js')) as { importers: Importer[] };
const { openSource } = (await load('formats/source.js')) as { openSource: typeof OpenSource };
const importer = importers.find(({ format }) => format === job.format)!;
const { seeds, generated, words } = await hostileModels(importer, job.fixtures);
const progress: Progress = {
  ...{
    done: 0,
    accepted: 0,
    layers: 0,
    refused: 0,
    slowest: 0,
    largest: 0,
    blocks: 0,
    seedBlocks: 0,
    corpus: 0,
  },
};
const corpus = [...seeds];
let fresh: HostileModel[] = [];
let residentBefore = process.memoryUsage.rss();
const MOST_RESIDENT = 2 ** 30;

for (let index = job.from; index < job.to; index++) {
  const model = job.replay ? undefined : inputFor(index);
  if (model) {
    layOut(input, model);
    writeFileSync(join(job.scratch, 'current'), `${index} ${model.name}`);
  }
  await run(index, job.replay ?? model!.name, model);
  progress.done++;
  if (progress.done % 200 === 0) {
    send({ kind: 'progress', progress: summary() });
    residentBefore = process.memoryUsage.rss(); // kept threads grow with use: one input does not
  }
}
send({ kind: 'end', progress: summary() });
process.disconnect();

function load(file: string): Promise<unknown> {
  return import(pathToFileURL(join(job.target, file)).href);
}

/** First the seeds as they are, then a third generated ones and two thirds changed ones. */
function inputFor(index: number): HostileModel {
  if (index < seeds.length) return seeds[index];
  const random = new Random(Math.imul(job.seed + 1, 0x9e3779b1) ^ index);
  if (random.below(3) === 0) {
    if (fresh.length === 0) fresh = fc.sample(generated, { seed: random.bits() | 0, numRuns: 64 });
    return fresh.pop()!;
  }
  // half of the time one of the newest, which lead where no other has been
  const newest = random.below(2) ? Math.min(corpus.length, 32) : corpus.length;
  return mutate(corpus[corpus.length - 1 - random.below(newest)], random, corpus, words);
}

async function run(index: number, name: string, model: HostileModel | undefined): Promise<void> {
  const files = readdirSync(input).map((file) => statSync(join(input, file)).size);
  const bytes = files.reduce((a, b) => a + b, 0);
  const start = process.cpuUsage();
  offence = '';
  try {
    watching = true;
    const { outcome, layers, largest } = await survive(
      importer,
      openSource,
      join(input, name),
      bytes,
    ).finally(() => {
      watching = false;
    });
    if (offence) throw new Finding(offence);
    progress[outcome]++;
    progress.layers += layers;
    progress.largest = Math.max(progress.largest, largest);
    const { user, system } = process.cpuUsage(start);
    const milliseconds = (user + system) / 1000;
    progress.slowest = Math.max(progress.slowest, milliseconds);
    if (milliseconds > job.longest) throw new Finding(`takes ${Math.round(milliseconds)} ms`);
    const resident = process.memoryUsage.rss();
    if (resident > residentBefore + MOST_RESIDENT) {
      residentBefore = resident;
      throw new Finding('takes a gigabyte of memory');
    }
  } catch (error) {
    const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    cpSync(input, join(job.scratch, `found-${index}`), { recursive: true });
    send({ kind: 'finding', index, name, what, stack: error instanceof Error ? (error.stack ?? '') : '' });
  }
  if (isNew() && model && index >= seeds.length) corpus.push(model);
}

function summary(): Progress {
  const blocks = reached.reduce((sum, times) => sum + (times > 0 ? 1 : 0), 0);
  if (job.from === 0 && progress.done <= Math.max(200, seeds.length)) progress.seedBlocks = blocks;
  return { ...progress, blocks, corpus: corpus.length };
}
