// Processor time of a training step, for each method of a plan of dwp compare: what a bound or a posterior costs,
// whatever else the machine does. Build first; then: node scripts/step-costs.mjs <plan.yaml> [option=value ...]

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parse } from 'yaml';
import { createEngine, f32 } from '../dist/engine/index.js';
import { makePlan } from '../dist/plans/plan.js';
import { prepare } from '../dist/runs/problem.js';
import { networkOptions } from '../dist/runs/run.js';
import { auxiliaryParameters } from '../dist/train/auxiliary.js';
import { initialState, trainNetwork } from '../dist/train/train-network.js';

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
for (const { label, config } of plan.runs) {
  const { model, train, key } = prepare(config);
  const weights = Object.fromEntries(
    model.architecture.layers
      .filter(({ kind }) => kind === 'conv')
      .map(({ name, shape }) => [name, f32(shape)]),
  );
  const start = initialState({
    architecture: model.architecture,
    posterior: model.posterior,
    weights,
    logStd: -4,
    key,
    auxiliary: auxiliaryParameters(model),
  });
  let before;
  await trainNetwork(
    {
      model,
      images: train.images,
      rows: train.rows,
      options: { ...networkOptions(config), steps: WARM + STEPS },
      engine,
      key,
      state: start,
    },
    {
      stepped({ step }) {
        if (step === WARM) before = process.cpuUsage();
      },
    },
  );
  const { user, system } = process.cpuUsage(before);
  const parameters = Object.values(start.parameters).reduce((sum, { data }) => sum + data.length, 0);
  console.log(`${((user + system) / 1000 / STEPS).toFixed(1)} ms a step, ${parameters} parameters: ${label}`);
}
