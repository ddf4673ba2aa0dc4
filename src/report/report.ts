// The page: conclusion and table first, then accuracy, kernels, priors, calibration, traces, and how to make it again.

import { examplesCaption, examplesChart, examplesLegend } from './figures/accuracy.js';
import { BOUND_PARTS, TRACE_CAPTION, traceChart } from './figures/bound-trace.js';
import { ENSEMBLE_CAPTION, ensembleChart } from './figures/ensemble.js';
import { filtersOfRun, learnedFilters } from './figures/learned-filters.js';
import { METRICS_CAPTION, metricsTable } from './figures/metrics-table.js';
import { SCALE_NOTE } from './figures/pictures.js';
import { priorCard } from './figures/prior-samples.js';
import { pooledBins, RELIABILITY_CAPTION, reliabilityChart } from './figures/reliability.js';
import { details, figure, type Html, html } from './html.js';
import { decimals, percent, plural } from './numbers.js';
import { page } from './page.js';
import { runsOf, type Series, seriesOf, shownExamples, sizesOf } from './series.js';
import { fitted, legend } from './svg.js';
import type { ReportInput, ReportRun } from './types.js';

/**
 * The whole report as one HTML document that asks for no other file. The same input gives the same text.
 * Sections without data are left out.
 */
export function renderReport(input: ReportInput): string {
  const series = seriesOf(input);
  const sections = [
    {
      id: 'accuracy',
      short: 'Accuracy',
      title: accuracyTitle(input),
      content: accuracy(input, series),
    },
    { id: 'kernels', short: 'Kernels', title: 'Learned kernels', content: kernels(input.runs, series) },
    { id: 'priors', short: 'Priors', title: 'Priors over kernels', content: priors(input) },
    {
      id: 'calibration',
      short: 'Calibration',
      title: 'Calibration and ensembles',
      content: calibration(input.runs, series),
    },
    { id: 'bound', short: 'Bound', title: 'The bound during training', content: traces(input.runs, series) },
    { id: 'runs', short: 'Runs', title: 'Every run', content: everyRun(input.runs, series) },
    { id: 'reproduce', short: 'Reproduce', title: 'How to make this page again', content: reproduce(input) },
  ];
  const table = figure(metricsTable(input.rows, series, input.reference), METRICS_CAPTION);
  const empty = input.rows.length + input.runs.length + input.priors.length === 0;
  return page({
    title: input.title,
    about: `${input.generated} · ${plural(input.runs.length, 'run')} · ${plural(input.priors.length, 'fitted prior')}`,
    opening: html`${input.sentence ? html`<p class="sentence">${input.sentence}</p>` : ''}
${table ?? ''}
${empty && html`<p>There are no runs and no priors to show yet.</p>`}`,
    sections,
  });
}

function accuracyTitle({ rows, reference = [] }: ReportInput): string {
  const sizes = sizesOf([...rows, ...reference]);
  return sizes.length === 1
    ? `Accuracy with ${plural(sizes[0]!, 'training example')}`
    : 'Accuracy against training examples';
}

function accuracy({ rows, reference = [] }: ReportInput, series: readonly Series[]): Html | undefined {
  if (rows.length === 0) return undefined;
  const shown = series.filter(({ label }) => rows.some((row) => row.label === label));
  const oneSize = sizesOf([...rows, ...reference]).length === 1;
  const main = html`${oneSize && reference.length === 0 ? '' : examplesLegend(shown, reference)}${fitted(
    (width, narrow) => examplesChart(rows, shown, { reference, width, height: narrow ? 320 : 400 }) ?? html``,
  )}`;
  const small = (['nll', 'ece'] as const).map((metric) => {
    const drawing = examplesChart(rows, shown, { metric, width: 420, height: 260 });
    return drawing && html`<div class="panel">${drawing}</div>`;
  });
  return html`${figure(main, examplesCaption(rows, reference))}${figure(
    html`${oneSize ? '' : legend(shown)}<div class="panels">${small}</div>`,
    'The same comparison for the quality of the predicted probabilities: negative log-likelihood and calibration error; lower is better for both.',
  )}`;
}

function kernels(runs: readonly ReportRun[], series: readonly Series[]): Html | undefined {
  const examples = shownExamples(runs);
  if (examples === undefined) return undefined;
  return figure(
    learnedFilters(runs, series, examples),
    `Kernels (posterior means) after training on ${plural(examples, 'example')}, the first split of each prior, up to 64 of every layer. ${SCALE_NOTE}`,
  );
}

function priors(input: ReportInput): Html | undefined {
  const notes = layerNotes(input.runs);
  if (input.priors.length === 0 && notes.length === 0) return undefined;
  const list = notes.length > 0 && html`<ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`;
  if (input.priors.length === 0) return html`${list}`;
  const cards = figure(
    html`<div class="cards">${input.priors.map(priorCard)}</div>`,
    `Kernels of the source nets beside draws from the prior that was fitted to them: the closer the two look, the better the prior. The tables give the log density of kernels that were held out, in nats; higher is better. Values with ≥ are lower bounds, the others exact; ± is the standard error. ${SCALE_NOTE}`,
  );
  return html`${list || ''}${cards}`;
}

/** Layers whose prior is a fallback, or was learned along; those of a run with the same to say together. */
const layerNotes = (runs: readonly ReportRun[]): string[] =>
  runs.flatMap(({ label, examples, split, layerPriors = [] }) => {
    const layers = new Map<string, string[]>();
    for (const { layer, family, reason, substitute, learned } of layerPriors) {
      if (!substitute && !learned) continue;
      const { scale, weights } = learned ?? {};
      const note = [
        `${substitute ? 'fallback, ' : ''}${family} prior (${reason})`,
        ...(scale === undefined ? [] : [`learned scale ${scale.toFixed(3)}`]),
        ...(weights ? [`weights ${weights.map((x) => x.toFixed(3)).join(', ')}`] : []),
      ].join('; ');
      layers.set(note, [...(layers.get(note) ?? []), layer]);
    }
    return [...layers].map(
      ([note, names]) => `${label}, N = ${examples}, split ${split}, ${names.join(', ')}: ${note}`,
    );
  });

function calibration(runs: readonly ReportRun[], series: readonly Series[]): Html | undefined {
  const examples = shownExamples(runs);
  if (examples === undefined) return undefined;
  const diagrams = series.flatMap((each) => {
    const own = runsOf(runs, each, examples);
    const drawing = reliabilityChart(pooledBins(own.map((run) => run.reliability)), each.colour);
    const ece = own.reduce((sum, run) => sum + run.test.ece, 0) / own.length;
    return drawing
      ? [
          html`<div class="panel"><h4>${dot(each)}${each.label} <small>ECE ${percent(ece)}</small></h4>${drawing}</div>`,
        ]
      : [];
  });
  const ensembles = (['accuracy', 'nll'] as const).flatMap((metric) => {
    const drawing = ensembleChart(runs, series, examples, metric);
    return drawing ? [html`<div class="panel">${drawing}</div>`] : [];
  });
  if (diagrams.length + ensembles.length === 0) return undefined;
  const trained = `Nets trained on ${plural(examples, 'example')}.`;
  return html`${figure(
    diagrams.length > 0 ? html`<div class="panels small">${diagrams}</div>` : undefined,
    `${RELIABILITY_CAPTION} ${trained}`,
  )}${figure(
    ensembles.length > 0
      ? html`${legend(present(runs, series, examples))}<div class="panels">${ensembles}</div>`
      : undefined,
    `${ENSEMBLE_CAPTION} ${trained}`,
  )}`;
}

function traces(runs: readonly ReportRun[], series: readonly Series[]): Html | undefined {
  const open = shownExamples(runs);
  const groups = sizesOf(runs).flatMap((examples) => {
    const panels = BOUND_PARTS.flatMap(({ part, title }) => {
      const drawing = traceChart(runs, series, examples, part);
      return drawing ? [html`<div class="panel"><h4>${title}</h4>${drawing}</div>`] : [];
    });
    if (panels.length === 0) return [];
    const content = html`${legend(present(runs, series, examples))}<div class="panels">${panels}</div>`;
    return [details(`Trained on ${plural(examples, 'example')}`, content, examples === open)];
  });
  return groups.length > 0 ? figure(html`${groups}`, TRACE_CAPTION) : undefined;
}

function everyRun(runs: readonly ReportRun[], series: readonly Series[]): Html | undefined {
  if (runs.length === 0) return undefined;
  const sorted = series.flatMap((each) =>
    runs
      .filter(({ label }) => label === each.label)
      .sort((a, b) => a.examples - b.examples || a.split - b.split)
      .map((run) => oneRun(run, each)),
  );
  return figure(
    html`${sorted}`,
    `One fold per run: its test results, its kernels where it started and where it ended, its bound. ${SCALE_NOTE}`,
  );
}

function oneRun(run: ReportRun, series: Series): Html {
  const { accuracy, nll, ece, brier, examples } = run.test;
  const trace = traceChart([run], [series], run.examples, 'bound');
  return details(
    html`${dot(series)}${run.label} <small>· ${plural(run.examples, 'example')} · split ${run.split} · ${percent(accuracy)} accuracy</small>`,
    html`<dl><dt>folder</dt><dd><code>${run.path}</code></dd><dt>test</dt><dd>accuracy ${percent(accuracy, 2)}, NLL ${decimals(nll, 3)} nats, ECE ${percent(ece)}, Brier ${decimals(brier, 3)} on ${decimals(examples, 0)} images</dd></dl>${filtersOfRun(run.filters)}${
      trace && html`<div class="trace"><h4>Bound, nats</h4>${trace}</div>`
    }`,
  );
}

const reproduce = ({ command, environment }: ReportInput): Html =>
  html`<pre><code>${command}</code></pre><dl>${Object.entries(environment).map(
    ([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`,
  )}</dl>`;

const dot = ({ colour }: Series): Html => html`<span class="swatch" style="background:${colour}"></span>`;

const present = (runs: readonly ReportRun[], series: readonly Series[], examples: number) =>
  series.filter((each) => runsOf(runs, each, examples).length > 0);
