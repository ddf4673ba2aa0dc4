// The page about a run's bounds: each expectation between its bounds, as pictures and in numbers.
import type { Estimate, Interval, NetworkBounds, Term } from '../train/network-bounds.js';
import { BOUNDS_CAPTION, boundsChart, LOWER, UPPER } from './figures/bounds-by-samples.js';
import { figure, type Html, html } from './html.js';
import { decimals, plural } from './numbers.js';
import { page } from './page.js';
import { hollowMark, legend } from './svg.js';

export interface BoundsReport extends NetworkBounds {
  title: string;
  generated: string;
  command: string;
  /** What was found, the most important first. */
  sentences: string[];
}

/** One HTML document that asks for no other file; the same input gives the same text. */
export function renderBoundsReport(input: BoundsReport): string {
  const [first, ...others] = input.sentences;
  return page({
    title: input.title,
    about: `${input.generated} · ${plural(input.draws, 'draw')} of the weights · nats for the whole network or layer`,
    opening: html`<p class="sentence">${first}</p>${others.map((sentence) => html`<p>${sentence}</p>`)}`,
    sections: [
      { id: 'whole', short: 'Network', title: 'The whole network', content: whole(input) },
      { id: 'layers', short: 'Layers', title: 'Layer by layer', content: layers(input) },
      { id: 'numbers', short: 'Numbers', title: 'In numbers', content: numbers(input) },
      {
        id: 'reproduce',
        short: 'Reproduce',
        title: 'How to make this page again',
        content: html`<pre><code>${input.command}</code></pre>`,
      },
    ],
  });
}

const SYMBOLS = [
  { key: 'logPrior', title: 'E_q log p(w)' },
  { key: 'logPosterior', title: 'E_q log q(w)' },
] as const;

const means = ({ samples, lower, upper }: Interval & { samples: number }) => ({
  samples,
  lower: lower.mean,
  upper: upper.mean,
});

const panel = (title: string, drawing: Html) => html`<div class="panel"><h4>${title}</h4>${drawing}</div>`;

const NAMES = legend(
  [
    { label: 'lower bound', prior: '', colour: LOWER, dash: '' },
    { label: 'upper bound', prior: '', colour: UPPER, dash: '' },
  ],
  [hollowMark('as trained', 'var(--text)')],
);

function whole({ total }: BoundsReport): Html | undefined {
  if (total.logPrior.exact && total.logPosterior.exact) return undefined;
  return figure(
    html`${NAMES}<div class="panels">${panel('Evidence bound at T = 1', boundsChart(total.elbo.map(means)))}${panel(
      'KL(q‖p)',
      boundsChart(total.divergence.map(means)),
    )}</div>`,
    `Both are bounded by what is below: the evidence bound is the expected log-likelihood minus KL(q‖p), and KL(q‖p) = E_q log q(w) − E_q log p(w). ${BOUNDS_CAPTION}`,
  );
}

function layers(input: BoundsReport): Html | undefined {
  const panels = input.layers.flatMap((layer) =>
    SYMBOLS.filter(({ key }) => !layer[key].exact).map(({ key, title }) => {
      const { at, trained } = layer[key];
      return panel(
        `${layer.layer}: ${title}`,
        boundsChart(at.map(means), { samples: trained.samples, value: trained.mean }),
      );
    }),
  );
  return panels.length === 0
    ? undefined
    : figure(html`${NAMES}<div class="panels">${panels}</div>`, BOUNDS_CAPTION);
}

const estimated = ({ mean, standardError }: Estimate): string => {
  if (!Number.isFinite(mean)) return '∞';
  const digits = Math.abs(mean) < 100 ? 1 : 0;
  return standardError > 0
    ? `${decimals(mean, digits)} ± ${decimals(standardError, standardError < 10 ? 1 : 0)}`
    : decimals(mean, digits);
};

const sides = ({ lower, upper }: Interval, settled = true) =>
  html`<td>${estimated(lower)}</td><td>${estimated(upper)}${!settled && html` *`}</td>`;

const HEAD = ['≥', '≤'];

function numbers(input: BoundsReport): Html {
  const block = (
    name: string,
    terms: { logPrior: Term; logPosterior: Term; divergence: (Interval & { samples: number })[] },
  ) => {
    // where all is known exactly, no K changes it
    const exact = terms.logPrior.exact && terms.logPosterior.exact;
    const rows = exact ? terms.divergence.slice(0, 1) : terms.divergence;
    return html`<tbody>${rows.map(
      (kl, k) =>
        html`<tr>${k === 0 && html`<th scope="rowgroup" rowspan="${rows.length}" class="size">${name}</th>`}<td>${exact ? 'any' : kl.samples}</td>${SYMBOLS.map(
          ({ key }) => sides(terms[key].at[k]!, terms[key].at[k]!.settled),
        )}${sides(kl)}</tr>`,
    )}</tbody>`;
  };
  const titles = [...SYMBOLS.map(({ title }) => title), 'KL(q‖p)'];
  return figure(
    html`<div class="scroll"><table class="metrics"><thead><tr><th scope="col">layer</th><th scope="col">K</th>${titles.flatMap(
      (title) => HEAD.map((sign) => html`<th scope="col">${title} ${sign}</th>`),
    )}</tr></thead>${input.layers.map((layer) => block(layer.layer, layer))}${
      input.layers.length > 1 && block('all', input.total)
    }</table></div>`,
    `Nats, ± the standard error over ${plural(input.draws, 'draw')} of the weights. Expected log-likelihood: ${estimated(input.expectedLogLikelihood)}. The draws are the same in a row and in a column, so that differences are known better than the numbers themselves. * One kernel makes up much of this gap: such an upper bound tends to come out low.`,
  )!;
}
