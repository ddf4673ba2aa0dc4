// Runs → report.html. The report room and its libraries are loaded only here.

import { createEngine } from '../engine/index.js';
import { saveFile } from '../formats/files.js';
import type { ComparisonRow, FinishedRun } from '../plans/compare.js';
import type { Plan } from '../plans/plan.js';
import { gatherFigures, gatherPriors } from '../plans/report-input.js';
import { priorPaths } from '../problems/options.js';
import type { ReferencePoint } from '../report/types.js';
import { environment } from '../runs/run.js';

interface About {
  title: string;
  command: string;
  reference?: ReferencePoint[];
}

export async function writeReport(path: string, about: About, runs: readonly FinishedRun[]): Promise<void> {
  const { renderReport } = await import('../report/report.js');
  const figures = await gatherFigures(runs, await createEngine('native', 1));
  const reliability = (run: (typeof figures.runs)[number]) =>
    run.reliability.flatMap(({ confidence, accuracy, count }) =>
      confidence === null || accuracy === null ? [] : [{ confidence, accuracy, count }],
    );
  const html = renderReport({
    ...about,
    ...figures,
    generated: new Date().toISOString(),
    runs: figures.runs.map((run) => ({ ...run, reliability: reliability(run) })),
  });
  saveFile(path, html);
}

/** Of random features: there are no runs in folders, only rows, and the priors that kernels were drawn from. */
export async function writeFeatureReport(
  path: string,
  about: About & { sentence: string },
  plan: Plan,
  rows: ComparisonRow[],
): Promise<void> {
  const { renderReport } = await import('../report/report.js');
  const priors = await gatherPriors(
    plan.runs.flatMap(({ config }) => priorPaths(config)),
    await createEngine('native', 1),
  );
  const generated = new Date().toISOString();
  saveFile(path, renderReport({ ...about, generated, environment: environment(), rows, runs: [], priors }));
}
