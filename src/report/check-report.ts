// The page about a prior's samples: beside held-out kernels as pictures, as distributions, and in numbers.
import type { SampleCheck } from '../evaluate/sample-check.js';
import { RINGS } from '../evaluate/sample-statistics.js';
import { entries, nullValues, radialPower, SIDES, sharesBelow } from './figures/distributions.js';
import { type LatentMap, latentMap, mapScript, scriptHash } from './figures/latent-map.js';
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
  /** Samples, and the real kernel that is nearest to each; rows alike. */
  neighbours: { samples: number[][]; nearest: number[][]; of: string };
  /** Of a prior with a latent variable. */
  latent?: LatentMap | { missing: string };
  /** Of a mixture: the heaviest components, and how many there are. */
  components?: { shown: Component[]; count: number };
  /** Name, samples, kernels, difference, what it would be if alike, p. */
  rows: string[][];
  check: SampleCheck;
}

/** A component: its weight, its mean, and draws of it. */
export interface Component {
  weight: number;
  mean: number[];
  draws: number[][];
}

const panel = (title: string, drawing: Html) => html`<div class="panel"><h4>${title}</h4>${drawing}</div>`;

const kernelsOf = (flat: readonly number[], d: number): number[][] =>
  Array.from({ length: Math.min(64, flat.length / d) }, (_, i) => flat.slice(i * d, (i + 1) * d));

/** One HTML document that asks for no other file; the same input gives the same text. */
export function renderCheckReport(input: CheckReport): string {
  const { h, w, channels = 1, pictures, check } = input;
  const [first, ...others] = input.sentences;
  const { latent } = input;
  const script = latent && 'decoder' in latent ? mapScript(latent) : undefined;
  const picture = (side: 'samples' | 'kernels', title: string) =>
    kernelPicture(kernelsOf(pictures[side], channels * h * w), h, w, title, 264);
  return page({
    ...(script !== undefined && { script: scriptHash(script) }),
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
      {
        id: 'neighbours',
        short: 'Neighbours',
        title: 'The nearest real kernels',
        content: neighbourPairs(input),
      },
      {
        id: 'latent',
        short: 'Latent variable',
        title: 'What z decides',
        content: latentSection(latent, script),
      },
      { id: 'components', short: 'Components', title: 'Components', content: componentCards(input) },
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

/** Eight samples in a row, and below each the kernel that is nearest to it. */
const neighbourPairs = ({ neighbours: { samples, nearest, of }, h, w }: CheckReport): Html | undefined => {
  const rows: number[][] = [];
  for (let i = 0; i + 8 <= samples.length; i += 8)
    rows.push(...samples.slice(i, i + 8), ...nearest.slice(i, i + 8));
  return figure(
    kernelPicture(rows, h, w, 'Samples, and below each its nearest kernel', 264),
    `Rows alternate: samples, then the ${of} kernel at the smallest distance from each. A prior that remembers would show pairs that are the same.`,
  );
};

const latentSection = (latent: CheckReport['latent'], script: string | undefined): Html | undefined => {
  if (!latent) return undefined;
  if (!('decoder' in latent)) return html`<p>${latent.missing}</p>`;
  if (script === undefined)
    return html`<p>There is no map of z here: the decoder's arrays are too large for a page.</p>`;
  return figure(
    html`${latentMap(latent, script)}<noscript><p>The map needs JavaScript; nothing is loaded from anywhere.</p></noscript>`,
    'Each dot is a real kernel, where the encoder r(z|w) has its mean; the axes are the two directions in which these means vary most. Drag through the map, or use the arrow keys: the decoder draws the kernel of the place. A click on a dot shows its kernel beside what the decoder makes of its z. Sliders move along the other directions.',
  );
};

const componentCards = ({ components, h, w }: CheckReport): Html | undefined => {
  if (!components) return undefined;
  const { shown, count } = components;
  const largest = Math.max(...shown.map(({ weight }) => weight));
  const percent = (x: number) => `${(100 * x).toPrecision(2)} %`;
  return figure(
    html`<div class="panels tiny">${shown.map(
      ({ weight, mean, draws }) =>
        html`<div class="component">${kernelPicture([mean, ...draws], h, w, percent(weight), 264)}<div class="bar" style="width:${(100 * weight) / largest}%"></div></div>`,
    )}</div>`,
    `The ${shown.length} heaviest of ${count} components: the weight, the mean, and ${shown[0].draws.length} draws. ${SCALE_NOTE}`,
  );
};

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
