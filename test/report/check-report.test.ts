import { parseHTML } from 'linkedom';
import { expect, it } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import { checkSamples } from '../../src/evaluate/sample-check.js';
import { type CheckReport, renderCheckReport } from '../../src/report/check-report.js';
import { checkWellFormed, find, HOSTILE, withText } from './checks.js';

const rows = (seed: number, count = 40) => ({
  data: new RandomStream(seedKey(seed)).fillNormal(new Float32Array(count * 6)),
  count,
});
const report = (a = rows(1), b = rows(2)): CheckReport => ({
  title: 'Samples of priors/a',
  generated: '2025-11-03',
  command: 'dwp check-prior priors/a --kernels k.npy --html a.html',
  about: 'vae · 2x3 · 40 samples beside 40 kernels',
  sentences: ['No: none of 7 tests.', 'No sign of memorising.'],
  warning: 'the prior was fitted on another file',
  h: 2,
  w: 3,
  pictures: { samples: [...a.data], kernels: [...b.data] },
  neighbours: { samples: [], nearest: [], of: 'train' },
  rows: [['norm, 50%', '1.0', '1.1', '', '', '']],
  check: checkSamples({
    samples: a,
    kernels: b,
    train: rows(3),
    size: { h: 2, w: 3 },
    permutations: 19,
    key: seedKey(0),
  }),
});

it('draws six panels, tables the rows, says the warning, and takes texts as text', () => {
  const text = renderCheckReport(report());
  checkWellFormed(text);
  expect(find(text, /NaN|undefined|Infinity|\[object/)).toBeUndefined();
  const page = parseHTML(text).document;
  expect(page.querySelectorAll('#distributions svg[role=img]')).toHaveLength(6);
  expect(page.querySelectorAll('#pictures img')).toHaveLength(2);
  expect(page.querySelectorAll('#numbers tbody tr')).toHaveLength(1);
  expect(page.querySelector('header + .sentence')!.textContent).toContain('No: none');
  expect(text).toContain('another file');
  expect(renderCheckReport(report())).toBe(text);
  const hostile = renderCheckReport(withText(report(), HOSTILE));
  checkWellFormed(hostile);
  expect(find(hostile, '<script')).toBeUndefined();
});

it('kernels of zeros', () => {
  const zeros = { data: new Float32Array(120), count: 20 };
  const text = renderCheckReport(report(zeros, zeros));
  checkWellFormed(text);
  expect(find(text, /NaN|undefined|Infinity/)).toBeUndefined();
});
