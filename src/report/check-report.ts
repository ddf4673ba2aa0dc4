// The page about a prior's samples: beside held-out kernels as pictures, as distributions, and in numbers.
import type { SampleCheck } from '../evaluate/sample-check.js';
import { RINGS } from '../evaluate/sample-statistics.js';
import { entries, nullValues, radialPower, SIDES, sharesBelow } from './figures/distributions.js';
import { kernelPicture, SCALE_NOTE } from './figures/pictures.js';
import { figure, type Html, html } from './html.js';
import { page } from './page.js';

export interface CheckReport {
  title: string;
  generated: string;
  command: string;
  /** Family, size, and how many kernels of what. */
  about: string;
  /** What was found, the most important first. */
  sentences: string[];
  /** Of the kernels, where they may not be held out. */
  warning?: string;
  h: number;
  w: number;
  channels?: number;
  /** Rows of channels·h·w weights, one after the other. */
  pictures: { samples: number[]; kernels: number[] };
  /** Name, samples, kernels, difference, what it would be if alike, p. */
  rows: string[][];
  check: SampleCheck;
}

const panel = (title: string, drawing: Html) => html`<div class="panel"><h4>${title}</h4>${drawing}</div>`;

const kernelsOf = (flat: readonly number[], d: number): number[][] =>
  Array.from({ length: Math.min(64, flat.length / d) }, (_, i) => flat.slice(i * d, (i + 1) * d));

/** One HTML document that asks for no other file; the same input gives the same text. */
export function renderCheckReport(input: CheckReport): string {
  const { h, w, channels = 1, pictures, check } = input;
  const [first, ...others] = input.sentences;
  const picture = (side: 'samples' | 'kernels', title: string) =>
    kernelPicture(kernelsOf(pictures[side], channels * h * w), h, w, title, 264);
  return page({
    title: input.title,
    about: `${input.generated} · ${input.about}`,
    opening: html`<p class="sentence">Can samples be told from kernels? ${first}</p>${others.map(
      (sentence) => html`<p>${sentence}</p>`,
    )}${input.warning !== undefined && html`<p><strong>Note:</strong> ${input.warning}.</p>`}`,
    sections: [
      {
        id: 'pictures',
        short: 'Pictures',
        title: 'Side by side',
        content: figure(
          html`<div class="pictures">${picture('kernels', 'Kernels')}${picture('samples', 'Samples')}</div>`,
          `At random, not chosen. ${SCALE_NOTE}`,
        ),
      },
      { id: 'distributions', short: 'Distributions', title: 'Distributions', content: distributions(check) },
      { id: 'numbers', short: 'Numbers', title: 'In numbers', content: numbers(input.rows) },
      {
        id: 'reproduce',
        short: 'Reproduce',
        title: 'How to make this page again',
        content: html`<pre><code>${input.command}</code></pre>`,
      },
    ],
  });
}

const distributions = ({ norm, lagOne, spectrum, covariance, mmd, nearest }: SampleCheck): Html =>
  figure(
    html`${SIDES}<div class="panels">${[
      panel('Norms', sharesBelow(norm, 'norm of a kernel', true)),
      lagOne && panel('Correlation of neighbours', sharesBelow(lagOne, 'lag-one correlation of a kernel')),
      panel('Power spectrum', radialPower(RINGS, spectrum)),
      panel('Covariances of pixels', entries(covariance)),
      panel('Maximum mean discrepancy²', nullValues(mmd.null, mmd.value)),
      nearest && panel('Memory', sharesBelow(nearest, 'distance to the nearest train kernel', true)),
    ]}</div>`,
    'Where the two lines lie on each other, samples and kernels are alike. Power is that of kernels scaled to unit length, relative to white noise; the band is what random halves of the kernels range over. A dot is the covariance of two pixels. Bars are discrepancies under random relabellings, the line is the one observed. Samples that are nearer to train kernels than held-out kernels are would be remembered, not made.',
  )!;

const HEAD = ['', 'samples', 'kernels', 'difference', 'if alike', 'p'];

const numbers = (rows: readonly string[][]): Html =>
  figure(
    html`<div class="scroll"><table class="metrics densities"><thead><tr>${HEAD.map(
      (name) => html`<th scope="col">${name}</th>`,
    )}</tr></thead><tbody>${rows.map(
      ([name, ...values]) =>
        html`<tr><th scope="row">${name}</th>${values.map((value) => html`<td>${value}</td>`)}</tr>`,
    )}</tbody></table></div>`,
    '“If alike”: between two random halves of the kernels, ± their standard deviation over splits; of classifiers and shares, ± the standard error. p: the share of random relabellings, or of splits, that differ at least as much.',
  )!;
