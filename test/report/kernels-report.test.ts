import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { foldIn, RandomStream, seedKey } from '../../src/engine/random.js';
import { varianceChart } from '../../src/report/figures/explained-variance.js';
import { shiftMatrix } from '../../src/report/figures/shift-matrix.js';
import {
  type KernelsReport,
  type ReportGroup,
  renderKernelsReport,
} from '../../src/report/kernels-report.js';
import { checkWellFormed, find, HOSTILE, withoutImages, withText } from './checks.js';
import { kernels } from './fixture.js';

const group = (name: string, size: number, noise: number): ReportGroup => ({
  name,
  kernels: 1234,
  sparsity: 0.125,
  varianceEntropy: 0.8,
  orthogonality: null,
  lagOne: 0.4,
  looksLikeNoise: noise > 1,
  shown: kernels(20, size, noise, new RandomStream(foldIn(seedKey(3), name))),
  explainedVariance: Array.from({ length: size * size }, (_, i) => 2 ** -(i + 1)),
  power: [
    [1, 2, 1],
    [2, 8, 2],
    [1, 2, 1],
  ],
});

const shift = (names: string[]) => ({
  names,
  nats: names.map((_, a) => names.map((_, b) => Math.abs(a - b) / 2)),
  chance: names.map((_, a) => names.map((_, b) => (a === b ? 0 : 0.4))),
});

const report = (sources = ['a.onnx', 'b.h5', 'c.onnx']): KernelsReport => ({
  title: 'Kernels of zoo',
  generated: '2025-11-03',
  command: 'dwp inspect zoo --html zoo.html',
  sizes: [3, 5].map((size) => ({
    h: size,
    w: size,
    whole: group('all together', size, 0.1),
    groups: sources.map((name, i) => group(name, size, i === 1 ? 2 : 0.1)),
    shift: shift(sources),
  })),
  layers: [
    {
      model: 'a.onnx',
      name: 'conv1',
      kind: 'conv',
      shape: [8, 3, 3, 3],
      dtype: 'float32',
      kernels: 24,
      sparsity: 0,
      varianceEntropy: null,
      orthogonality: 0.9,
      lagOne: null,
    },
  ],
});

const alone = ({ h, w, groups }: KernelsReport['sizes'][number]) => ({ h, w, groups: groups.slice(0, 1) });

const document = (text: string) => parseHTML(text).document;

describe('the page about kernels', () => {
  it.each<[string, () => KernelsReport]>([
    ['of three sources', report],
    ['of many', () => report(Array.from({ length: 30 }, (_, i) => `net-${i}.onnx`))],
    ['of one model', () => ({ ...report(), sizes: report().sizes.map(alone) })],
    ['of nothing', () => ({ ...report(), sizes: [], layers: [] })],
  ])('is well-formed and free of NaN: %s', (_, make) => {
    const text = renderKernelsReport(make());
    checkWellFormed(text);
    expect(find(withoutImages(text), /NaN|undefined|Infinity|\[object/)).toBeUndefined();
    for (const link of document(text).querySelectorAll('nav a'))
      expect(document(text).querySelector(link.getAttribute('href')!)).not.toBeNull();
  });

  it('shows kernels and a spectrum of every source and size, and a matrix of every size', () => {
    const page = document(renderKernelsReport(report()));
    expect(page.querySelectorAll('#kernels img')).toHaveLength(2 * 4);
    expect(page.querySelectorAll('#spectra img')).toHaveLength(2 * 4);
    expect(page.querySelectorAll('#spectra svg[role=img]')).toHaveLength(2);
    expect(page.querySelectorAll('#shift svg[role=img]')).toHaveLength(2);
    expect(page.querySelector('.sentence')!.textContent).toMatch(/b\.h5 \(3×3\), b\.h5 \(5×5\)/);
    expect(page.querySelectorAll('#layers tbody tr')).toHaveLength(1);
  });

  it('folds many sources away, and has the whole table at the end', () => {
    const page = document(renderKernelsReport(report(Array.from({ length: 30 }, (_, i) => `net-${i}`))));
    expect(page.querySelector('#kernels details summary')!.textContent).toBe('23 more');
    expect(page.querySelectorAll('main > figure tbody tr')).toHaveLength(2);
    expect(page.querySelectorAll('#sources tbody tr')).toHaveLength(2 * 31);
  });

  it('of one group there is no more than its size to say', () => {
    const page = document(renderKernelsReport({ ...report(), sizes: report().sizes.map(alone) }));
    const titles = [...page.querySelectorAll('#kernels h4')].map(({ textContent }) => textContent);
    expect(titles).toEqual(['3×3', '5×5']);
  });

  it('does not draw kernels that are no pictures', () => {
    const [size] = report().sizes.map(alone);
    const long = {
      ...size!.groups[0]!,
      shown: Array.from({ length: 64 }, () => new Array<number>(9000).fill(1)),
    };
    const page = document(renderKernelsReport({ ...report(), sizes: [{ h: 1, w: 9000, groups: [long] }] }));
    expect(page.querySelector('#kernels')).toBeNull();
  });

  it('many groups that are no parts of a whole are all in the first table', () => {
    const many = report(Array.from({ length: 30 }, (_, i) => `net-${i}`));
    const sizes = many.sizes.map(({ whole: _, ...size }) => size);
    const page = document(renderKernelsReport({ ...many, sizes }));
    expect(page.querySelectorAll('main > figure tbody tr')).toHaveLength(60);
    expect(page.querySelector('#sources')).toBeNull();
  });

  it('treats whatever a file holds as text', () => {
    const text = renderKernelsReport(withText(report(), HOSTILE));
    checkWellFormed(text);
    for (const bad of ['<script', '\u0000', '\u001b']) expect(find(text, bad)).toBeUndefined();
    for (const image of document(text).querySelectorAll('img'))
      expect(image.hasAttribute('onerror')).toBe(false);
    expect(document(text).querySelector('#shift li')!.textContent).toContain('<script>alert(1)</script>');
  });

  it('is the same text every time', () => {
    expect(renderKernelsReport(report())).toBe(renderKernelsReport(report()));
  });
});

describe('figures', () => {
  const marks = (markup: string, name: string, element: string) => [
    ...document(`<body>${markup}</body>`).querySelectorAll(`g[aria-label="${name}"] ${element}`),
  ];

  it('cells are darker the further two groups are apart; what chance explains is in brackets', () => {
    const matrix = shiftMatrix(shift(['a', 'b', 'c']))!.text;
    const opacity = marks(matrix, 'shift', 'rect').map((cell) => Number(cell.getAttribute('fill-opacity')));
    expect(opacity).toHaveLength(9);
    expect(opacity[0]).toBe(0);
    expect(opacity[1]).toBeGreaterThan(0);
    expect(opacity[2]).toBeCloseTo(2 * opacity[1]!, 2);
    expect(marks(matrix, 'nats', 'text').map(({ textContent }) => textContent)).toEqual(
      expect.arrayContaining(['(0.50)', '1.00']),
    );
    const colours = marks(matrix, 'shift', 'rect').map((cell) => cell.getAttribute('fill'));
    expect(colours.slice(0, 3)).toEqual(['var(--muted)', 'var(--muted)', 'var(--accent)']);
    expect(shiftMatrix(shift(['alone']))).toBeUndefined();
  });

  it('curves rise to 100 %, above the line of noise', () => {
    const chart = varianceChart([{ shares: [0.7, 0.2, 0.1], colour: 'var(--c0)' }])!.text;
    const points = (name: string): number[][] =>
      marks(chart, name, 'path')[0]!
        .getAttribute('d')!
        .slice(1)
        .split('L')
        .map((point: string) => point.split(',').map(Number));
    const curve = points('curve');
    const heights = curve.map(([, y]) => y!);
    expect(curve).toHaveLength(4);
    expect(curve.at(-1)).toEqual(points('noise').at(-1));
    expect(heights).toEqual([...heights].sort((a, b) => b - a));
    expect(varianceChart([])).toBeUndefined();
  });
});
