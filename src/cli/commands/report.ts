// dwp report: one self-contained HTML page about finished runs.
import { z } from 'zod';
import { refuseExisting } from '../../formats/files.js';
import { finishedRuns } from '../../plans/report-input.js';
import { argument, defineCommand, list, option } from '../command.js';
import { writeReport } from '../write-report.js';

export const report = defineCommand({
  name: 'report',
  arguments: { runs: argument('<runs...>', 'folders of dwp train', list(z.string())) },
  options: {
    out: option('--out <report.html>', 'page to write; must not exist yet', z.string()),
    title: option('--title <text>', 'heading of the page', z.string().default('Runs with kernel priors')),
  },
  examples: ['dwp report runs/dwp-100 runs/normal-100 --out report.html'],
  async run({ runs, out, title }) {
    refuseExisting(out);
    await writeReport(
      out,
      { title, command: `dwp report ${runs.join(' ')} --out ${out}` },
      finishedRuns(runs),
    );
    return { path: out, runs: runs.length };
  },
  render: ({ path, runs }) => `Report of ${runs} ${runs === 1 ? 'run' : 'runs'} written to ${path}`,
});
