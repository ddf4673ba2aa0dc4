// The page of dwp toy: for each target the table of all methods, and their draws as pictures.
import { columnsOf, referenceLine } from '../toy/columns.js';
import type { Picture } from '../toy/pictures.js';
import type { TargetSummary } from '../toy/summary.js';
import { drawsPanels } from './figures/draws-panel.js';
import { figure, type Html, html } from './html.js';
import { page } from './page.js';

export interface ToyReport {
  title: string;
  /** ISO date, given by the caller. */
  generated: string;
  command: string;
  sentences: readonly string[];
  targets: readonly (TargetSummary & { picture: Picture })[];
  seeds: number;
}

/** One HTML document that asks for no other file; the same input gives the same text. */
export function renderToyReport({ title, generated, command, sentences, targets, seeds }: ToyReport): string {
  return page({
    title,
    about: `${generated} · ${targets.map(({ name }) => name).join(', ')}`,
    opening: html`<ul>${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul>`,
    sections: [
      ...targets.map((target) => ({
        id: target.name,
        short: target.name,
        title: target.name,
        content: html`<p>${target.summary}. ${referenceLine(target)}.</p>
${figure(drawsPanels({ ...target.picture, panels: target.picture.panels.map(({ method, dots }) => ({ title: method, dots })) }), CAPTIONS[target.picture.kind])}
${figure(methodTable(target), tableCaption(target, seeds))}`,
      })),
      {
        id: 'reproduce',
        short: 'Reproduce',
        title: 'How to make this page again',
        content: html`<pre><code>${command}</code></pre>`,
      },
    ],
  });
}

const CAPTIONS = {
  plane:
    'Up to 500 draws of each method’s first fit over contours of the density at 2, 10, 30, 60 and 90 % of its largest value. hmc: the chains.',
  covariance:
    'Every entry of the covariance of each method’s draws (up) against the same entry of the chains’ (across), from its first fit. On the line they agree; what is outside of the frame is left out.',
};

function methodTable(target: TargetSummary): Html {
  const columns = columnsOf(target);
  return html`<div class="scroll"><table class="densities"><thead><tr><th scope="col">method</th>${columns.map(
    ([title]) => html`<th scope="col">${title}</th>`,
  )}</tr></thead><tbody>${target.methods.map(
    (method) =>
      html`<tr><th scope="row">${method.method} <small>${method.family}</small></th>${columns.map(
        ([, cell]) => html`<td>${cell(method).replaceAll('-', '−')}</td>`,
      )}</tr>`,
  )}</tbody></table></div>`;
}

const tableCaption = ({ dimensions }: TargetSummary, seeds: number): string =>
  [
    `Mean ± standard deviation over ${seeds} fits.`,
    'KL(q‖p) in nats, from the density of q or between bounds of it; objective − KL: what the method takes KL for is too high by this.',
    'MMD²: squared maximum mean discrepancy from the chains, with the standard error of one fit; may be negative, for it has no bias.',
    'KS: largest Kolmogorov–Smirnov distance of a marginal. Covariance error: relative, Frobenius.',
    'hmc: other chains of the same length, which show what the measures can tell apart.',
    dimensions === 2
      ? ''
      : 'NLL: nats per held-out example of predictions by one draw, and averaged over 100. Prior std: what a step of empirical Bayes would make of the prior’s standard deviation.',
  ]
    .filter(Boolean)
    .join(' ');
