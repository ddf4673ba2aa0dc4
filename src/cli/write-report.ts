// Runs → report.html. The report room and its libraries are loaded only here.
import { createEngine } from '../engine/index.js';
import type { FinishedRun } from '../experiment/compare.js';
import { gatherFigures } from '../experiment/report-input.js';
import { writeFileAtomic } from '../formats/files.js';
import type { ReferencePoint } from '../report/types.js';

export async function writeReport(
  path: string,
  about: { title: string; command: string; reference?: ReferencePoint[] },
  runs: readonly FinishedRun[],
): Promise<void> {
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
  writeFileAtomic(path, html);
}
