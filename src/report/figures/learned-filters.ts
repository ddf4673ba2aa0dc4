// What the convolutions of each prior's net have learned, side by side, layer by layer.
import { type Html, html } from '../html.js';
import { distinct, runsOf, type Series } from '../series.js';
import type { LayerFilters, ReportRun } from '../types.js';
import { kernelPicture } from './pictures.js';

const PICTURE = 256;

/** Per layer one picture for each series: its run of the lowest split with this many examples. Layers of a single series stand side by side. */
export function learnedFilters(
  runs: readonly ReportRun[],
  series: readonly Series[],
  examples: number,
): Html | undefined {
  const shown = series.flatMap((each) => {
    const run = runsOf(runs, each, examples)
      .filter(({ filters }) => filters.length > 0)
      .sort((a, b) => a.split - b.split)[0];
    return run ? [{ each, run }] : [];
  });
  const layers = distinct(shown.flatMap(({ run }) => run.filters.map(({ layer }) => layer)));
  if (layers.length === 0) return undefined;
  if (shown.length === 1) {
    const [{ each, run }] = shown;
    const pictures = run.filters.map(({ layer, h, w, kernels }) =>
      kernelPicture(kernels, h, w, `${layer} ${h}×${w}`, PICTURE),
    );
    return html`<p>${named(each)}</p><div class="pictures">${pictures}</div>`;
  }
  return html`${layers.map((layer) => {
    const pictures = shown.map(({ each, run }) => {
      const filters = run.filters.find((candidate) => candidate.layer === layer);
      return filters && kernelPicture(filters.kernels, filters.h, filters.w, named(each), PICTURE);
    });
    return html`<h3>${layer} ${kernelSizeOf(
      shown.map(({ run }) => run),
      layer,
    )}</h3><div class="pictures">${pictures}</div>`;
  })}`;
}

/** One run's layers: where it started (if that was kept) beside where it ended. */
export const filtersOfRun = (filters: readonly LayerFilters[]): Html | undefined =>
  filters.length === 0
    ? undefined
    : html`<div class="pictures">${filters.map(({ layer, h, w, initial, kernels }) => [
        kernelPicture(initial ?? [], h, w, `${layer} ${h}×${w}, at the start`) ?? '',
        kernelPicture(kernels, h, w, `${layer} ${h}×${w}, learned`) ?? '',
      ])}</div>`;

const named = ({ label, colour }: Series): Html =>
  html`<span class="swatch" style="background:${colour}"></span>${label}`;

function kernelSizeOf(runs: readonly ReportRun[], layer: string): string {
  const sizes = runs.flatMap((run) =>
    run.filters.filter((filters) => filters.layer === layer).map(({ h, w }) => `${h}×${w}`),
  );
  return distinct(sizes).join(', ');
}
