import { parseHTML } from 'linkedom';
import { describe, expect, it, test } from 'vitest';
import { escapeHtml, html } from '../../src/report/html.js';
import { decimals, meanAndDeviation, percent } from '../../src/report/numbers.js';
import { renderReport } from '../../src/report/report.js';
import type { ReportInput } from '../../src/report/types.js';
import { checkWellFormed, find, HOSTILE, withoutImages, withText } from './checks.js';
import { nothing, realistic, spread } from './fixture.js';

const oneRun = (): ReportInput => {
  const input = realistic();
  return {
    ...input,
    rows: input.rows.slice(1, 2).map((row) => ({ ...row, runs: 1, accuracy: spread([0.86]) })),
    reference: undefined,
    runs: input.runs.slice(1, 2),
    priors: [],
  };
};

describe('renderReport', () => {
  const page = renderReport(realistic());

  it.each([
    ['realistic', realistic],
    ['empty', nothing],
    ['one run', oneRun],
    ['priors only', () => ({ ...nothing(), priors: realistic().priors })],
    ['runs without parts', () => ({ ...nothing(), runs: bare() })],
  ])('is well-formed and free of NaN: %s', (_, make) => {
    const text = renderReport(make());
    checkWellFormed(text);
    expect(find(withoutImages(text), /NaN|undefined|Infinity|\[object/)).toBeUndefined();
  });

  it('asks for no other file and runs nothing', () => {
    expect(find(withoutImages(page), /https?:|\/\/[a-z]/i)).toBeUndefined();
    expect(find(page, /<script|<link|<iframe|@import|\son\w+=/i)).toBeUndefined();
    for (const [, source] of page.matchAll(/\s(?:src|href)="([^"]*)"/g))
      expect(source).toMatch(/^(data:image\/png;base64,|#)/);
    for (const [, address] of page.matchAll(/url\(([^)]*)\)/g)) expect(address).toMatch(/^#/);
    expect(page.includes(`content="default-src 'none'`)).toBe(true);
  });

  it('puts the conclusion first, then the table, and the sections in order', () => {
    const places = ['class="sentence"', 'class="metrics"', ...ids(page).map((id) => `id="${id}"`)].map(
      (text) => page.indexOf(text),
    );
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(ids(page)).toEqual(['accuracy', 'kernels', 'priors', 'calibration', 'bound', 'runs', 'reproduce']);
  });

  it('links to its sections and leaves out those without data', () => {
    expect(ids(renderReport(nothing()))).toEqual(['reproduce']);
    const { document } = parseHTML(page);
    for (const link of document.querySelectorAll('nav a'))
      expect(document.querySelector(link.getAttribute('href')!)).not.toBeNull();
  });

  it('gives every figure a caption', () => {
    const { document } = parseHTML(page);
    for (const each of document.querySelectorAll('figure'))
      expect(each.querySelector('figcaption')!.textContent!.length).toBeGreaterThan(40);
  });

  it('has one fold per run', () => {
    expect([...parseHTML(page).document.querySelectorAll('#runs details')]).toHaveLength(18);
  });

  it('treats whatever a file holds as text', () => {
    const input = withText(realistic(), HOSTILE);
    input.environment = { [HOSTILE]: HOSTILE };
    const text = renderReport(input);
    checkWellFormed(text);
    for (const bad of ['<script', '\u0000', '\u001b']) expect(find(text, bad)).toBeUndefined();
    const { document } = parseHTML(text);
    for (const image of document.querySelectorAll('img')) expect(image.hasAttribute('onerror')).toBe(false);
    expect(document.querySelector('h1')!.textContent).toContain('<script>alert(1)</script>');
  });

  it('is the same text every time', () => {
    expect(renderReport(realistic()) === page).toBe(true);
  });
});

test('fallbacks and what was learned of priors are named, escaped', () => {
  const input = realistic();
  const [run, ...others] = input.runs;
  const layerPriors = [
    { layer: 'conv1', family: 'vae', reason: 'role first' },
    { layer: 'conv2', family: 'mixture', reason: 'from <7x7>', substitute: true, learned: { scale: 0.25 } },
  ];
  const page = renderReport({ ...input, priors: [], runs: [{ ...run!, layerPriors }, ...others] });
  expect(page).toContain('conv2: fallback, mixture prior (from &lt;7x7&gt;); learned scale 0.250');
  expect(page).not.toContain('role first');
});

describe('html`…`', () => {
  it('escapes text, keeps markup, joins lists, drops false and undefined', () => {
    const bold = html`<b>${'<&>"\''}</b>`;
    expect(bold.text).toBe('<b>&lt;&amp;&gt;&quot;&#39;</b>');
    expect(html`${[bold, 1, '<']}${false}${undefined}${0}`.text).toBe(`${bold.text}1&lt;0`);
  });

  it('drops control characters but not line ends', () => {
    expect(escapeHtml('a\u0000b\u001b\n\tc\u0085')).toBe('ab\n\tc');
  });
});

describe('numbers', () => {
  it.each([
    [1234567.891, 1, '1\u202f234\u202f567.9'],
    [-0.04, 1, '0.0'],
    [-46.1, 1, '−46.1'],
    [999, 0, '999'],
    [Number.NaN, 1, '–'],
    [undefined, 1, '–'],
  ])('writes %d with %i decimals as %s', (value, digits, text) => expect(decimals(value, digits)).toBe(text));

  it('writes a deviation only where there is one', () => {
    expect(meanAndDeviation(spread([0.5, 0.7]), 1, 100)).toBe('60.0 ± 14.1');
    expect(meanAndDeviation(spread([0.5]), 1, 100)).toBe('50.0');
    expect(meanAndDeviation({ mean: Number.NaN, std: Number.NaN, values: [] }, 1)).toBe('–');
    expect(percent(0.8671)).toBe('86.7%');
  });
});

const ids = (page: string) => [...page.matchAll(/<section id="(\w+)"/g)].map(([, id]) => id!);

const bare = () =>
  realistic().runs.map((run) => ({ ...run, trace: [], filters: [], ensemble: [], reliability: [] }));
