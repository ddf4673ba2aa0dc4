// The comparison in numbers: mean ± standard deviation, best of each number of examples in bold.
import { type Html, html } from '../html.js';
import { decimals, meanAndDeviation, percent } from '../numbers.js';
import { type Series, sizesOf } from '../series.js';
import type { ReferencePoint, ReportRow, Spread } from '../types.js';
import { seriesOfReference } from './reference.js';

type Column = { title: string; of: (row: ReportRow) => Spread; digits: number; scale: number; best?: 1 | -1 };

const COLUMNS: readonly Column[] = [
  { title: 'accuracy, %', of: (row) => row.accuracy, digits: 1, scale: 100, best: 1 },
  { title: 'NLL, nats', of: (row) => row.nll, digits: 3, scale: 1, best: -1 },
  { title: 'ECE, %', of: (row) => row.ece, digits: 1, scale: 100, best: -1 },
  { title: 'Brier', of: (row) => row.brier, digits: 3, scale: 1, best: -1 },
  { title: 'seconds a run', of: (row) => row.seconds, digits: 0, scale: 1 },
];

/** One body per number of examples, one line per row; a column of published accuracies if any belongs to a row. */
export function metricsTable(
  rows: readonly ReportRow[],
  series: readonly Series[],
  reference: readonly ReferencePoint[] = [],
): Html | undefined {
  if (rows.length === 0) return undefined;
  const published = (row: ReportRow) =>
    reference.find(
      (point) => point.examples === row.examples && seriesOfReference(point, series)?.label === row.label,
    );
  const withPublished = rows.some(published);
  const group = (examples: number) => {
    const own = rows.filter((row) => row.examples === examples);
    const best = COLUMNS.map(({ of, best: sign }) =>
      sign && own.length > 1 ? sign * Math.max(...own.map((row) => finite(sign * of(row).mean))) : undefined,
    );
    return html`<tbody>${own.map(
      (row, i) =>
        html`<tr>${i === 0 && html`<th scope="rowgroup" rowspan="${own.length}" class="size">${decimals(examples, 0)}</th>`}<th scope="row">${swatch(row, series)}${row.label}</th><td>${row.runs}</td>${COLUMNS.map(
          ({ of, digits, scale }, j) =>
            html`<td${of(row).mean === best[j] && html` class="best"`}>${meanAndDeviation(of(row), digits, scale)}</td>${
              j === 0 &&
              withPublished &&
              html`<td class="muted">${percent(published(row)?.accuracy).replace('%', '')}</td>`
            }`,
        )}</tr>`,
    )}</tbody>`;
  };
  return html`<div class="scroll"><table class="metrics"><thead><tr><th scope="col">examples</th><th scope="col">prior</th><th scope="col">runs</th>${COLUMNS.map(
    ({ title }, j) =>
      html`<th scope="col">${title}</th>${j === 0 && withPublished && html`<th scope="col" class="muted">published</th>`}`,
  )}</tr></thead>${sizesOf(rows).map(group)}</table></div>`;
}

const finite = (value: number) => (Number.isFinite(value) ? value : Number.NEGATIVE_INFINITY);

function swatch(row: ReportRow, series: readonly Series[]): Html {
  const colour = series.find(({ label }) => label === row.label)?.colour ?? 'transparent';
  return html`<span class="swatch" style="background:${colour}"></span>`;
}

export const METRICS_CAPTION =
  'Mean ± standard deviation over runs, on the test set. Accuracy: higher is better. Negative log-likelihood (NLL), expected calibration error (ECE, 15 bins) and Brier score: lower is better. The best mean of each number of examples is bold.';
