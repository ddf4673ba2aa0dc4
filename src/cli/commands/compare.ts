// dwp compare: a plan of runs, or of random features → a table and a report.
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../../formats/files.js';
import { whileClaimed } from '../../formats/locks.js';
import { removeLeftovers } from '../../formats/temporary.js';
import {
  type ComparisonRow,
  comparisonRows,
  conclusion,
  runPlan,
  type Spread,
  spreadOf,
  writeComparison,
} from '../../plans/compare.js';
import { type Plan, readPlan } from '../../plans/plan.js';
import { type FeatureRun, runFeatures } from '../../plans/random-features.js';
import { argument, defineCommand, option } from '../command.js';
import type { Effects } from '../effects.js';
import { table } from '../table.js';
import { writeFeatureReport, writeReport } from '../write-report.js';
import { progressHooks } from './train.js';

export interface CompareResult {
  out: string;
  report: string;
  /** `mean` and `std` are those of the accuracy. */
  rows: (ComparisonRow & { mean: number; std: number; oneDraw?: Spread })[];
  sentence: string;
}

export const compare = defineCommand({
  name: 'compare',
  description:
    'The plan is a YAML file with the keys base (options of all runs), methods (a label and options for each), ' +
    'examples, splits, and reference (published figures to show). Paths are relative to the plan. The whole plan is ' +
    'checked before the first run; the limit is 10,000 runs. The command can be stopped and repeated: it keeps ' +
    'finished runs and resumes interrupted ones.\n\nIn a plan with "kind: random-features", only the classifier is ' +
    'trained. The convolutions keep the kernels that --init draws. Such a run takes a second instead of a minute, and ' +
    'shows which kernels make good features (examples/random-features.yaml). A plan of this kind is not resumed.',
  arguments: { plan: argument('<plan.yaml>', 'plan to carry out', z.string()) },
  options: { out: option('--out <dir>', 'folder for the runs, the table and report.html', z.string()) },
  examples: [
    'dwp compare examples/compare.yaml --out runs/compare',
    'dwp compare plan.yaml --out runs/compare --format json',
    'dwp compare examples/random-features.yaml --out runs/features',
  ],
  run: ({ plan, out }, effects) => carryOut(readPlan(plan), out, `dwp compare ${plan} --out ${out}`, effects),
  render: renderComparison,
});

export async function carryOut(
  plan: Plan,
  out: string,
  command: string,
  effects: Effects,
): Promise<CompareResult> {
  const work = plan.kind === 'random-features' ? carryOutFeatures : carryOutRuns;
  const unmake = makeFolder(out);
  try {
    return await whileClaimed(out, () => work(plan, out, command, effects), effects.warn);
  } finally {
    unmake(); // where nothing was written
  }
}

async function carryOutRuns(
  plan: Plan,
  out: string,
  command: string,
  effects: Effects,
): Promise<CompareResult> {
  removeLeftovers(out, () => true);
  const bar = planProgress(effects);
  const runs = await runPlan(plan, out, bar).finally(() => bar.stop());
  const rows = comparisonRows(runs);
  writeComparison(out, rows);
  const report = join(out, 'report.html');
  await writeReport(report, { title: plan.title, command, reference: plan.reference }, runs);
  return {
    out,
    report,
    rows: rows.map((row) => ({ ...row, mean: row.accuracy.mean, std: row.accuracy.std })),
    sentence: conclusion(rows),
  };
}

function planProgress(effects: Effects) {
  const bar = progressHooks(effects);
  return {
    ...bar,
    starting: ({ label, config }: Plan['runs'][number], i: number, n: number) => {
      bar.stop();
      effects.info(`run ${i} of ${n}: ${label}, ${config.examples} examples, split ${config.split}`);
    },
  };
}

async function carryOutFeatures(
  plan: Plan,
  out: string,
  command: string,
  effects: Effects,
): Promise<CompareResult> {
  const bar = planProgress(effects);
  const runs = await runFeatures(plan, bar).finally(() => bar.stop());
  const comparison = comparisonRows(runs);
  const rows = comparison.map((row) => {
    const own = ({ label, summary }: FeatureRun) => label === row.label && summary.examples === row.examples;
    return {
      ...row,
      mean: row.accuracy.mean,
      std: row.accuracy.std,
      oneDraw: spreadOf(runs.filter(own).map(({ oneDraw }) => oneDraw)),
    };
  });
  writeComparison(out, rows);
  const report = join(out, 'report.html');
  const sentence = conclusion(comparison);
  await writeFeatureReport(
    report,
    { title: plan.title, command, reference: plan.reference, sentence },
    plan,
    comparison,
  );
  return { out, report, rows, sentence };
}

export function renderComparison({ rows, report, sentence }: CompareResult): string {
  const spread = ({ mean, std }: { mean: number; std: number }, digits: number, scale = 1) =>
    `${(mean * scale).toFixed(digits)}${Number.isFinite(std) ? ` ± ${(std * scale).toFixed(digits)}` : ''}`;
  const bounded = rows.some(({ bound }) => bound);
  const drawn = rows.some(({ oneDraw }) => oneDraw);
  return [
    table(
      [
        ...['method', 'examples', 'runs', ...(drawn ? ['one draw (%)'] : [])],
        ...[drawn ? 'ensemble (%)' : 'accuracy (%)', 'NLL (nats)', 'ECE (%)', 'Brier'],
        ...(bounded ? ['bound (nats)'] : []),
        'seconds',
      ],
      rows.map((row) => [
        row.label,
        row.examples,
        row.runs,
        ...(row.oneDraw ? [spread(row.oneDraw, 1, 100)] : []),
        spread(row.accuracy, 1, 100),
        spread(row.nll, 3),
        spread(row.ece, 1, 100),
        spread(row.brier, 3),
        ...(bounded ? [row.bound ? spread(row.bound, 0) : ''] : []),
        spread(row.seconds, drawn ? 1 : 0),
      ]),
    ),
    'mean ± standard deviation over splits',
    '',
    sentence,
    `Report: ${report}`,
  ].join('\n');
}
