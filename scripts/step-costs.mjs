// Processor time of a training step, for each method of a plan of dwp compare: what a bound or a posterior costs,
// whatever else the machine does. Build first; then: node scripts/step-costs.mjs <plan.yaml> [option=value ...]

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { createEngine } from '../dist/engine/index.js';
import { makePlan } from '../dist/plans/plan.js';
import { startRun } from '../dist/runs/run.js';

const WARM = 3;
const STEPS = 15;

const [path, ...given] = process.argv.slice(2);
const raw = parse(readFileSync(path, 'utf8'));
for (const option of given) {
  const [name, value] = option.split('=');
  raw.base[name] = Number.isNaN(Number(value)) ? value : Number(value);
}
const plan = makePlan({ ...raw, splits: [raw.splits[0]], examples: [raw.examples[0]] }, path, dirname(path));
const engine = await createEngine('native', 1);
const folder = mkdtempSync(join(tmpdir(), 'dwp-step-costs-'));
try {
  for (const [i, { label, config }] of plan.runs.entries()) {
    const stop = new AbortController();
    let before;
    let used;
    const progress = (_, step) => {
      if (step === WARM) before = process.cpuUsage();
      if (step !== WARM + STEPS) return;
      used = process.cpuUsage(before);
      stop.abort();
    };
    await startRun(config, join(folder, String(i)), { engine, signal: stop.signal, progress }).catch(
      (error) => {
        if (error.code !== 'INTERRUPTED') throw error;
      },
    );
    console.log(`${label}: ${((used.user + used.system) / 1000 / STEPS).toFixed(1)} ms`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
