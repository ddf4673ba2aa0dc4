// dwp compare: a plan of runs → a table and a report.
import { join } from 'node:path';
import { z } from 'zod';
import {
  type ComparisonRow,
  comparisonRows,
  conclusion,
  runPlan,
  writeComparison,
} from '../../experiment/compare.js';
import { type Plan, readPlan } from '../../experiment/plan.js';
import { argument, defineCommand, option } from '../command.js';
import type { Effects } from '../effects.js';
import { table } from '../table.js';
import { writeReport } from '../write-report.js';
import { progressHooks } from './train.js';

export interface CompareResult {
  out: string;
  report: string;
  /** `mean` and `std` are those of the accuracy. */
  rows: (ComparisonRow & { mean: number; std: number })[];
  sentence: string;
}

export const compare = defineCommand({
  name: 'compare',
  description:
    'The plan is a YAML file: base (run options of all), methods (a label and options each), examples, splits, and ' +
    'published figures to show (reference). Paths in it are relative to the plan. The command may be stopped and ' +
    'given again: finished runs are kept and interrupted ones resumed.',
  arguments: { plan: argument('<plan.yaml>', 'the plan', z.string()) },
  options: { out: option('--out <dir>', 'folder of the runs, the table and report.html', z.string()) },
  examples: [
    'dwp compare examples/compare.yaml --out runs/compare',
    'dwp compare plan.yaml --out runs/compare --format json',
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
  const bar = progressHooks(effects);
  const runs = await runPlan(plan, out, {
    ...bar,
    starting: (run, i, n) => {
      bar.stop();
      effects.info(
        `run ${i} of ${n}: ${run.label}, ${run.config.examples} examples, split ${run.config.split}`,
      );
    },
  }).finally(() => bar.stop());
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

export function renderComparison({ rows, report, sentence }: CompareResult): string {
  const spread = ({ mean, std }: { mean: number; std: number }, digits: number, scale = 1) =>
    `${(mean * scale).toFixed(digits)}${Number.isFinite(std) ? ` ± ${(std * scale).toFixed(digits)}` : ''}`;
  const bounded = rows.some(({ bound }) => bound);
  return [
    table(
      [
        ...['method', 'examples', 'runs', 'accuracy (%)', 'NLL (nats)', 'ECE (%)', 'Brier'],
        ...(bounded ? ['bound (nats)'] : []),
        'seconds',
      ],
      rows.map((row) => [
        row.label,
        row.examples,
        row.runs,
        spread(row.accuracy, 1, 100),
        spread(row.nll, 3),
        spread(row.ece, 1, 100),
        spread(row.brier, 3),
        ...(bounded ? [row.bound ? spread(row.bound, 0) : ''] : []),
        spread(row.seconds, 0),
      ]),
    ),
    'mean ± standard deviation over splits',
    '',
    sentence,
    `Report: ${report}`,
  ].join('\n');
}
