// A kernel prior: draws of it beside real kernels, and the density of held-out kernels under it and its baselines.
import { type Html, html } from '../html.js';
import { decimals } from '../numbers.js';
import type { ReportDensity, ReportPrior } from '../types.js';
import { kernelPicture } from './pictures.js';

/** Real kernels, draws of the prior and the table of densities. */
export const priorCard = ({ name, size, family, real, samples, h, w, densities }: ReportPrior): Html =>
  html`<article class="card"><h3>${name} <small>${size} · ${family}</small></h3><div class="pictures">${
    kernelPicture(real, h, w, 'Real kernels') ?? ''
  }${kernelPicture(samples, h, w, 'Drawn from the prior') ?? ''}</div>${densityTable(densities)}</article>`;

/** Nats per held-out kernel, best first, the highest in bold; nothing when there are none. */
export function densityTable(densities: readonly ReportDensity[]): Html | undefined {
  if (densities.length === 0) return undefined;
  const value = ({ natsPerKernel }: ReportDensity) =>
    Number.isFinite(natsPerKernel) ? natsPerKernel : Number.NEGATIVE_INFINITY;
  const sorted = [...densities].sort((a, b) => value(b) - value(a));
  const best = value(sorted[0]!);
  return html`<div class="scroll"><table class="densities"><thead><tr><th scope="col">Density of held-out kernels</th><th scope="col">nats per kernel</th></tr></thead><tbody>${sorted.map(
    (density) =>
      html`<tr><th scope="row">${density.name}</th><td${value(density) === best && html` class="best"`}>${
        density.bound ? '≥ ' : ''
      }${decimals(density.natsPerKernel, 1)}${
        density.standardError !== undefined && Number.isFinite(density.standardError)
          ? ` ± ${decimals(density.standardError, 1)}`
          : ''
      }</td></tr>`,
  )}</tbody></table></div>`;
}
