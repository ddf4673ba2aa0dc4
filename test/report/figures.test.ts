import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { examplesChart } from '../../src/report/figures/accuracy.js';
import { BOUND_PARTS, traceChart, traceLines, withoutStart } from '../../src/report/figures/bound-trace.js';
import { ensembleChart, ensembleMeans } from '../../src/report/figures/ensemble.js';
import { filtersOfRun, learnedFilters } from '../../src/report/figures/learned-filters.js';
import { metricsTable } from '../../src/report/figures/metrics-table.js';
import { densityTable, priorCard } from '../../src/report/figures/prior-samples.js';
import { seriesOfReference } from '../../src/report/figures/reference.js';
import { pooledBins, reliabilityChart } from '../../src/report/figures/reliability.js';
import type { Html } from '../../src/report/html.js';
import { seriesOf, shownExamples } from '../../src/report/series.js';
import { realistic, spread } from './fixture.js';

const dom = (markup: Html | undefined) =>
  parseHTML(`<html><body>${markup?.text ?? ''}</body></html>`).document;

/** Elements of the marks with this name. */
const marks = (markup: Html | undefined, name: string, element: string) => [
  ...dom(markup).querySelectorAll(`g[aria-label="${name}"] ${element}`),
];

const input = realistic();
const series = seriesOf(input);

describe('series', () => {
  it('gives one colour to a prior and dashes to its initialisations', () => {
    const rows = input.rows.slice(0, 2).map((row, i) => ({ ...row, label: `dwp ${i}`, prior: 'dwp' }));
    const [first, second, third] = seriesOf({ rows: [...rows, input.rows[4]!], runs: [] });
    expect(second!.colour).toBe(first!.colour);
    expect(second!.dash).not.toBe(first!.dash);
    expect(third!.colour).not.toBe(first!.colour);
  });

  it('shows single runs where most of them are', () => {
    expect(shownExamples(input.runs)).toBe(100);
    expect(shownExamples([])).toBeUndefined();
    expect(shownExamples(input.runs.filter(({ split }) => split === 0))).toBe(50);
  });

  it('finds whose published value it is, the longest name first', () => {
    const two = seriesOf({
      rows: ['dwp', 'dwp filters'].map((label) => ({ ...input.rows[0]!, label, prior: 'dwp' })),
      runs: [],
    });
    const of = (label: string) => seriesOfReference({ label, examples: 1, accuracy: 1 }, two)?.label;
    expect(of('dwp filters (published)')).toBe('dwp filters');
    expect(of('DWP, published')).toBe('dwp');
    expect(of('log-uniform')).toBeUndefined();
  });
});

describe('accuracy against N', () => {
  it('has a dot and an error bar per row, a dot per run, a line per series, a hollow mark per published value', () => {
    const chart = examplesChart(input.rows, series, { reference: input.reference });
    expect(marks(chart, 'mean', 'circle')).toHaveLength(12);
    expect(marks(chart, 'standard deviation', 'line')).toHaveLength(12);
    expect(marks(chart, 'single runs', 'circle')).toHaveLength(60);
    expect(marks(chart, 'line', 'path')).toHaveLength(3);
    expect(marks(chart, 'published', 'circle')).toHaveLength(12);
    expect(dom(chart).querySelector('g[aria-label="published"]')!.getAttribute('fill')).toBe('none');
  });

  it('draws higher accuracies higher, more examples further right, error bars around their mean', () => {
    const rows = input.rows.filter(({ prior }) => prior === 'dwp');
    const dots = marks(examplesChart(rows, series), 'mean', 'circle');
    const at = (name: string) => dots.map((dot) => Number(dot.getAttribute(name)));
    expect(at('cx')).toEqual([...at('cx')].sort((a, b) => a - b));
    expect(at('cy')).toEqual([...at('cy')].sort((a, b) => b - a));
    const bars = marks(examplesChart(rows, series), 'standard deviation', 'line');
    bars.forEach((bar, i) => {
      const middle = (Number(bar.getAttribute('y1')) + Number(bar.getAttribute('y2'))) / 2;
      expect(middle).toBeCloseTo(at('cy')[i]!, 1);
    });
  });

  it('sets the x axis logarithmically: doubling N is the same step everywhere', () => {
    const rows = [50, 100, 200].map((examples) => ({ ...input.rows[0]!, examples }));
    const [a, b, c] = marks(examplesChart(rows, series), 'mean', 'circle').map((dot) =>
      Number(dot.getAttribute('cx')),
    ) as [number, number, number];
    expect(b - a).toBeCloseTo(c - b, 1);
  });

  it.each([
    ['against N', input.rows],
    ['at one N', input.rows.filter(({ examples }) => examples === 100)],
  ])('has no error bar for a single run, %s', (_, rows) => {
    for (const std of [Number.NaN, undefined as never, 0]) {
      const single = rows.map((row) => ({ ...row, accuracy: { ...spread([row.accuracy.mean]), std } }));
      const chart = examplesChart(single, series);
      expect(marks(chart, 'standard deviation', 'line')).toHaveLength(0);
      expect(marks(chart, 'single runs', 'circle')).toHaveLength(0);
      expect(marks(chart, 'mean', 'circle')).toHaveLength(rows.length);
      expect(chart!.text).not.toContain('NaN');
    }
  });

  it('gives every series a line of its own when there is one N', () => {
    const rows = input.rows.filter(({ examples }) => examples === 100);
    const reference = [{ label: 'log-uniform', examples: 100, accuracy: 0.839 }];
    const chart = examplesChart(rows, series, { reference });
    const heights = marks(chart, 'mean', 'circle').map((dot) => dot.getAttribute('cy'));
    expect(new Set(heights).size).toBe(3);
    expect(marks(chart, 'standard deviation', 'line')).toHaveLength(3);
    expect(marks(chart, 'published', 'circle')).toHaveLength(1);
    expect(chart!.text).toContain('log-uniform');
  });

  it('draws nothing without a finite mean', () => {
    expect(examplesChart([], series)).toBeUndefined();
    expect(examplesChart([{ ...input.rows[0]!, accuracy: spread([Number.NaN]) }], series)).toBeUndefined();
  });
});

describe('bound trace', () => {
  it.each(BOUND_PARTS.map(({ part }) => part))('has one line per run that has it: %s', (part) => {
    const lines = marks(traceChart(input.runs, series, 100, part), 'run', 'path');
    expect(lines).toHaveLength(part === 'expectedLogLikelihood' ? 15 : 10);
    for (const line of lines) expect(line.getAttribute('d')).toMatch(/^M[\d.,L]+$/);
  });

  it('keeps at most 200 points, the last one among them', () => {
    for (const { points } of traceLines(input.runs, series, 100, 'bound')) {
      expect(points.length).toBeLessThanOrEqual(200);
      expect(points.at(-1)!.step).toBe(10_000);
    }
  });

  it('leaves out a start that would squeeze the rest, and nothing else', () => {
    const line = (values: number[]) => ({
      series: series[0]!,
      points: values.map((value, step) => ({ step, value })),
    });
    const steady = Array.from({ length: 50 }, (_, i) => i % 5);
    const fallen = [-9_000, -2_000, ...steady];
    const { lines, cut } = withoutStart([line(fallen)]);
    expect(cut).toBe(true);
    expect(lines[0]!.points.map(({ value }) => value)).toEqual(steady);
    expect(withoutStart([line(steady)])).toEqual({ lines: [line(steady)], cut: false });
  });

  it('draws a dot for a trace of one point and nothing for none', () => {
    const [run] = input.runs;
    const short = { ...run!, trace: run!.trace.slice(0, 1) };
    expect(marks(traceChart([short], series, 50, 'bound'), 'run', 'circle')).toHaveLength(1);
    expect(traceChart([{ ...run!, trace: [] }], series, 50, 'bound')).toBeUndefined();
    expect(traceChart(input.runs, series, 999, 'bound')).toBeUndefined();
  });
});

describe('reliability', () => {
  const bins = [
    { confidence: 0.55, accuracy: 0.4, count: 10 },
    { confidence: 0.95, accuracy: 0.9, count: 90 },
  ];

  it('has a dot and a gap per bin and the diagonal', () => {
    const chart = reliabilityChart(bins, 'red');
    expect(marks(chart, 'bin', 'circle')).toHaveLength(2);
    expect(marks(chart, 'gap', 'line')).toHaveLength(2);
    expect(marks(chart, 'diagonal', 'path')).toHaveLength(1);
  });

  it('pools runs by their counts and drops empty bins', () => {
    const pooled = pooledBins([
      bins,
      [{ confidence: 0.58, accuracy: 0.8, count: 30 }],
      [{ ...bins[0]!, count: 0 }],
    ]);
    expect(pooled).toHaveLength(2);
    expect(pooled[0]!.count).toBe(40);
    expect(pooled[0]!.accuracy).toBeCloseTo((10 * 0.4 + 30 * 0.8) / 40, 12);
    expect(pooled[0]!.confidence).toBeCloseTo((10 * 0.55 + 30 * 0.58) / 40, 12);
    expect(pooled[1]).toEqual(bins[1]);
  });

  it('draws nothing without predictions', () => {
    expect(reliabilityChart(pooledBins([]), 'red')).toBeUndefined();
  });
});

describe('ensembles', () => {
  it('has a dot per series and size, and a line per series', () => {
    const chart = ensembleChart(input.runs, series, 100, 'accuracy');
    expect(marks(chart, 'ensemble', 'circle')).toHaveLength(18);
    expect(marks(chart, 'line', 'path')).toHaveLength(3);
  });

  it('averages over the runs that have the size', () => {
    const runs = input.runs.slice(0, 2).map((run, i) => ({
      ...run,
      ensemble: [
        { samples: 1, accuracy: 0.5 + 0.1 * i, nll: 1, ece: 0 },
        ...(i ? [{ samples: 4, accuracy: 0.9, nll: 1, ece: 0 }] : []),
      ],
    }));
    expect(ensembleMeans(runs, 'accuracy')).toEqual([
      { samples: 1, value: expect.closeTo(55, 9) },
      { samples: 4, value: expect.closeTo(90, 9) },
    ]);
  });

  it('draws one size as dots, and nothing for none', () => {
    const one = input.runs.map((run) => ({ ...run, ensemble: run.ensemble.slice(0, 1) }));
    expect(marks(ensembleChart(one, series, 100, 'nll'), 'ensemble', 'circle')).toHaveLength(3);
    const none = input.runs.map((run) => ({ ...run, ensemble: [] }));
    expect(ensembleChart(none, series, 100, 'nll')).toBeUndefined();
  });
});

describe('tables', () => {
  const cells = (markup: Html | undefined) =>
    [...dom(markup).querySelectorAll('tbody tr')].map((tr) =>
      [...tr.children].map((cell) => cell.textContent),
    );

  it('writes mean ± deviation, published values, and the best of each N in bold', () => {
    const table = metricsTable(input.rows, series, input.reference);
    expect(cells(table)).toHaveLength(12);
    const row = { ...input.rows[0]!, accuracy: spread([0.8, 0.9]), seconds: spread([61]) };
    const [line] = cells(metricsTable([row], series, input.reference));
    expect(line!.slice(0, 5)).toEqual(['50', 'dwp', String(row.runs), '85.0 ± 7.1', '80.0']);
    expect(line!.at(-1)).toBe('61');
    const bold = [...dom(table).querySelectorAll('tbody')[1]!.querySelectorAll('tr')].map(
      (tr) => tr.querySelectorAll('.best').length,
    );
    expect(bold).toEqual([4, 0, 0]);
  });

  it('has no column of published values without them, and no bold with one row', () => {
    const table = metricsTable(input.rows.slice(0, 1), series);
    expect(table!.text).not.toContain('published');
    expect(table!.text).not.toContain('best');
    expect(metricsTable([], series)).toBeUndefined();
  });

  it('sorts densities, marks bounds and keeps the sign', () => {
    const table = densityTable(input.priors[0]!.densities);
    expect(cells(table)).toEqual([
      ['VAE, 200 samples', '≥ 103.4 ± 1.1'],
      ['VAE, one sample', '≥ 99.5 ± 1.2'],
      ['full-covariance Gaussian', '91.8'],
      ['N(0, s²I)', '6.0'],
      ['N(0, I)', '−46.1'],
    ]);
    expect(dom(table).querySelectorAll('.best')).toHaveLength(1);
    expect(densityTable([])).toBeUndefined();
  });
});

describe('kernel pictures', () => {
  it('shows every layer of every series once', () => {
    expect(dom(learnedFilters(input.runs, series, 100)).querySelectorAll('img')).toHaveLength(6);
    expect(learnedFilters([], series, 100)).toBeUndefined();
    expect(
      learnedFilters(
        input.runs.map((run) => ({ ...run, filters: [] })),
        series,
        100,
      ),
    ).toBeUndefined();
  });

  it('shows the start beside the end where it was kept', () => {
    expect(dom(filtersOfRun(input.runs[0]!.filters)).querySelectorAll('img')).toHaveLength(3);
    const alone = dom(learnedFilters(input.runs, series.slice(0, 1), 50));
    expect(alone.querySelectorAll('h3')).toHaveLength(0);
    expect(alone.querySelectorAll('.pictures')).toHaveLength(1);
    expect(alone.querySelectorAll('.pictures img')).toHaveLength(2);
    expect(filtersOfRun([])).toBeUndefined();
  });

  it('shows real kernels beside samples, and does without either', () => {
    const [prior] = input.priors;
    expect(dom(priorCard(prior!)).querySelectorAll('img')).toHaveLength(2);
    expect(
      dom(priorCard({ ...prior!, real: [], densities: [] })).querySelectorAll('img, table'),
    ).toHaveLength(1);
  });
});
