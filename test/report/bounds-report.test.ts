import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { type BoundsReport, renderBoundsReport } from '../../src/report/bounds-report.js';
import { boundsChart, shownRange } from '../../src/report/figures/bounds-by-samples.js';
import type { Term } from '../../src/train/network-bounds.js';
import { checkWellFormed, find, HOSTILE, withText } from './checks.js';

const SAMPLES = [1, 10, 100];
const estimate = (mean: number) => ({ mean, standardError: 2 });
/** Around `middle`, within ± width/K. */
const byK = (middle: number, width: number) =>
  SAMPLES.map((samples) => ({
    samples,
    lower: estimate(middle - width / samples),
    upper: estimate(middle + width / samples),
  }));
const term = (middle: number, width: number, trained: number, exact = false): Term => ({
  exact,
  at: byK(middle, exact ? 0 : width).map((at, k) => ({ ...at, widestShare: 0.2, settled: k > 0 })),
  trained: { samples: trained, ...estimate(middle - width) },
  gap: { lower: estimate(width - 1), upper: estimate(width + 1) },
});
const terms = (middle: number, exact = false) => ({
  logPrior: term(middle, 100, 1, exact),
  logPosterior: term(2 * middle, 20, 0, exact),
  divergence: byK(middle, 120),
});

const report = (exact = false): BoundsReport => ({
  title: 'Bounds of runs/a',
  generated: '2025-11-03',
  command: 'dwp bounds runs/a --html a.html',
  sentences: ['The largest inner gap is in conv2.', 'With K = 100, …'],
  draws: 5,
  expectedLogLikelihood: estimate(-15.4),
  layers: ['conv1', 'conv2'].map((layer, i) => ({
    layer,
    size: '5x5',
    kernels: 32,
    ...terms(1000 * (i + 1), exact),
  })),
  total: { ...terms(3000, exact), elbo: byK(-3015, 120), trained: estimate(-3200) },
  largestGap: null,
});

const document = (text: string) => parseHTML(text).document;

describe('the page about bounds', () => {
  it.each([
    ['with gaps', () => report()],
    ['all exact', () => report(true)],
    [
      'bounds beyond double precision',
      () => {
        const input = report();
        input.layers[0]!.logPrior.at[0]!.upper.mean = Number.POSITIVE_INFINITY;
        input.total.logPrior.at[0]!.upper.mean = Number.POSITIVE_INFINITY;
        input.total.elbo[0]!.upper.mean = Number.POSITIVE_INFINITY;
        return input;
      },
    ],
  ])('is well-formed and free of NaN: %s', (_, make) => {
    const text = renderBoundsReport(make());
    checkWellFormed(text);
    expect(find(text, /NaN|undefined|Infinity|\[object/)).toBeUndefined();
    for (const link of document(text).querySelectorAll('nav a'))
      expect(document(text).querySelector(link.getAttribute('href')!)).not.toBeNull();
  });

  it('draws what is bounded and tables everything', () => {
    const page = document(renderBoundsReport(report()));
    expect(page.querySelectorAll('#whole svg[role=img]')).toHaveLength(2);
    expect(page.querySelectorAll('#layers svg[role=img]')).toHaveLength(4);
    expect(page.querySelectorAll('#numbers tbody tr')).toHaveLength(3 * SAMPLES.length);
    expect(page.querySelector('.sentence')!.textContent).toBe('The largest inner gap is in conv2.');
    const marked = [...page.querySelectorAll('#numbers td')].filter((cell) => cell.textContent.includes('*'));
    expect(marked).toHaveLength(3 * 2); // K = 1, of both expectations
    const exact = document(renderBoundsReport(report(true)));
    expect(exact.querySelectorAll('svg[role=img]')).toHaveLength(0);
    expect(exact.querySelectorAll('#numbers tbody tr')).toHaveLength(3); // no K changes what is exact
  });

  it('treats whatever a file holds as text, and is the same every time', () => {
    const hostile = renderBoundsReport(withText(report(), HOSTILE));
    checkWellFormed(hostile);
    expect(find(hostile, '<script')).toBeUndefined();
    expect(renderBoundsReport(report())).toBe(renderBoundsReport(report()));
  });
});

describe('bounds against K', () => {
  const points = [
    { samples: 1, lower: -10, upper: 1e9 },
    { samples: 10, lower: -1, upper: 2 },
    { samples: 100, lower: -0.2, upper: 0.2 },
  ];
  const ys = (markup: string, name: string, element: string, attribute: string) =>
    [...document(`<body>${markup}</body>`).querySelectorAll(`g[aria-label="${name}"] ${element}`)].map(
      (mark) => mark.getAttribute(attribute),
    );

  it('a side that is far away leaves the picture, and squeezes nothing', () => {
    const [low, high] = shownRange(points);
    expect(low).toBeCloseTo(-11, 9);
    expect(high).toBeCloseTo(16.5, 9);
    const drawing = boundsChart(points).text;
    expect(ys(drawing, 'lower points', 'circle', 'cy')).toHaveLength(3);
    expect(ys(drawing, 'upper points', 'circle', 'cy')).toHaveLength(2);
    const [below, far] = shownRange(
      points.map(({ samples, lower, upper }) => ({ samples, lower: -upper, upper: -lower })),
    );
    expect([below, far].map(Math.abs).sort((a, b) => a - b)).toEqual(
      [11, 16.5].map((x) => expect.closeTo(x, 9)),
    );
  });

  it('what training used is always in it', () => {
    const [low] = shownRange(points, { samples: 1, value: -50 });
    expect(low).toBeLessThan(-50);
    expect(ys(boundsChart(points, { samples: 0, value: -50 }).text, 'trained', 'circle', 'cy')).toHaveLength(
      1,
    );
  });

  it('the lower bound is drawn below the upper one, and both close in', () => {
    const drawing = boundsChart(points).text;
    const lower = ys(drawing, 'lower points', 'circle', 'cy').map(Number);
    const upper = ys(drawing, 'upper points', 'circle', 'cy').map(Number);
    expect(lower).toEqual([...lower].sort((a, b) => b - a)); // up, in pixels from the top
    expect(upper).toEqual([...upper].sort((a, b) => a - b));
    expect(lower.at(-1)!).toBeGreaterThan(upper.at(-1)!);
  });
});
