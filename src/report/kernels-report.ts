// The page about kernels: their quality in numbers, then as pictures: kernels, spectra, shifts.
import { VARIANCE_CAPTION, varianceChart } from './figures/explained-variance.js';
import { kernelPicture, SCALE_NOTE } from './figures/pictures.js';
import { SPECTRUM_CAPTION, spectrumPicture } from './figures/power-spectrum.js';
import { SHIFT_CAPTION, type ShiftMatrix, shiftMatrix } from './figures/shift-matrix.js';
import { details, figure, type Html, html } from './html.js';
import { decimals, plural } from './numbers.js';
import { page } from './page.js';
import { COLOURS, DASHES, type Series } from './series.js';
import { legend } from './svg.js';

export interface ReportMeasures {
  kernels: number;
  sparsity: number | null;
  varianceEntropy: number | null;
  orthogonality: number | null;
  /** Median. */
  lagOne: number | null;
}

/** Kernels of one size from one place. */
export interface ReportGroup extends ReportMeasures {
  name: string;
  looksLikeNoise: boolean;
  /** Some of them, each [h, w] row-major. */
  shown: number[][];
  explainedVariance: number[] | null;
  /** [points, points], relative to noise; absent where there is none. */
  power?: number[][];
}

export interface ReportSize {
  h: number;
  w: number;
  /** All groups together, where they are parts of one dataset. */
  whole?: ReportGroup;
  groups: ReportGroup[];
  shift?: ShiftMatrix;
}

export interface ReportLayer extends ReportMeasures {
  model: string;
  name: string;
  kind: string;
  shape: readonly number[];
  dtype: string;
}

export interface KernelsReport {
  title: string;
  generated: string;
  command: string;
  sizes: ReportSize[];
  /** Of models; none for datasets. */
  layers: ReportLayer[];
}

/** Longer kernels are not drawn. */
const MOST_PIXELS = 64;
/** More than so many groups are folded away. */
const MOST_OPEN = 8;

/** One HTML document that asks for no other file; the same input gives the same text. */
export function renderKernelsReport(input: KernelsReport): string {
  const { sizes, layers } = input;
  return page({
    title: input.title,
    about: `${input.generated} · ${sizes.map(({ h, w }) => `${h}×${w}`).join(', ')}`,
    opening: html`${noiseSentence(sizes)}${
      sizes.length === 0
        ? html`<p>There are no kernels to show.</p>`
        : figure(qualityTable(sizes.map(summarised)), QUALITY_CAPTION)
    }`,
    sections: [
      { id: 'kernels', short: 'Kernels', title: 'Kernels', content: kernels(sizes) },
      { id: 'spectra', short: 'Spectra', title: 'Spectra', content: spectra(sizes) },
      { id: 'shift', short: 'Shift', title: 'Distribution shift', content: shifts(sizes) },
      { id: 'sources', short: 'Sources', title: 'Every source', content: everySource(sizes) },
      { id: 'layers', short: 'Layers', title: 'Every layer', content: layersTable(layers) },
      {
        id: 'reproduce',
        short: 'Reproduce',
        title: 'How to make this page again',
        content: html`<pre><code>${input.command}</code></pre>`,
      },
    ],
  });
}

function noiseSentence(sizes: readonly ReportSize[]): Html | undefined {
  const noisy = sizes.flatMap((size) =>
    all(size)
      .filter(({ looksLikeNoise }) => looksLikeNoise)
      .map(({ name }) => `${name} (${size.h}×${size.w})`),
  );
  if (noisy.length === 0) return undefined;
  return html`<p class="sentence">Kernels that look like white noise, of which a prior learns nothing but the scale: ${noisy.join(', ')}.</p>`;
}

const QUALITY_CAPTION =
  'sparse: share of kernels whose weights are all below a hundredth of the largest of their layer. ' +
  'entropy: in how many directions kernels vary, 1 for white noise and 0 for copies of one shape. ' +
  'orthogonal: 1 for filters that have nothing in common, 0 for parallel ones; filters of a dataset are no longer whole. ' +
  'lag-1: median correlation of neighbouring weights, above 0 for smooth kernels, −1/(h·w − 1) on average for white noise.';

const MEASURES = ['kernels', 'sparse, %', 'entropy', 'orthogonal', 'lag-1'];

const measureCells = ({ kernels, sparsity, varianceEntropy, orthogonality, lagOne }: ReportMeasures): Html =>
  html`<td>${decimals(kernels, 0)}</td><td>${decimals(sparsity === null ? undefined : 100 * sparsity, 1)}</td>${[
    varianceEntropy,
    orthogonality,
    lagOne,
  ].map((value) => html`<td>${decimals(value ?? undefined, 3)}</td>`)}`;

function qualityTable(sizes: readonly ReportSize[]): Html {
  const body = (size: ReportSize) => {
    const groups = all(size);
    return html`<tbody>${groups.map(
      (group, i) =>
        html`<tr>${i === 0 && html`<th scope="rowgroup" rowspan="${groups.length}" class="size">${size.h}×${size.w}</th>`}<th scope="row">${group.name}${
          group.looksLikeNoise && html` <small>looks like noise</small>`
        }</th>${measureCells(group)}</tr>`,
    )}</tbody>`;
  };
  return html`<div class="scroll"><table class="metrics"><thead><tr><th scope="col">size</th><th scope="col">source</th>${MEASURES.map(
    (title) => html`<th scope="col">${title}</th>`,
  )}</tr></thead>${sizes.map(body)}</table></div>`;
}

const all = ({ whole, groups }: ReportSize): ReportGroup[] => (whole ? [whole, ...groups] : groups);

/** Of many parts of a dataset only the whole. */
const summarised = (size: ReportSize): ReportSize =>
  size.whole && size.groups.length > MOST_OPEN ? { ...size, groups: [] } : size;

const everySource = (sizes: readonly ReportSize[]): Html | undefined =>
  sizes.some((size) => summarised(size) !== size)
    ? figure(qualityTable(sizes), 'The measures of the first table for every source of every size.')
    : undefined;

/** The first few in view, all others in a fold. */
function foldedPictures(pictures: readonly Html[]): Html {
  const wall = (some: readonly Html[]) => html`<div class="pictures">${some}</div>`;
  if (pictures.length <= MOST_OPEN) return wall(pictures);
  const rest = pictures.slice(MOST_OPEN);
  return html`${wall(pictures.slice(0, MOST_OPEN))}${details(`${rest.length} more`, wall(rest))}`;
}

/** One wall of pictures by size; where every size has one picture only, a single wall. */
function walls(sizes: readonly ReportSize[], picture: PictureOf): Html[] {
  const drawn = sizes
    .map((size) => ({
      title: `${size.h}×${size.w}`,
      of: (title?: string) => all(size).flatMap((group) => picture(group, size, title ?? group.name) ?? []),
    }))
    .filter(({ of }) => of().length > 0);
  if (drawn.every(({ of }) => of().length === 1))
    return drawn.length === 0 ? [] : [foldedPictures(drawn.flatMap(({ title, of }) => of(title)))];
  return drawn.map(({ title, of }) => html`<h3>${title}</h3>${foldedPictures(of())}`);
}

type PictureOf = (group: ReportGroup, size: ReportSize, title: string) => Html | undefined;

function kernels(sizes: readonly ReportSize[]): Html | undefined {
  const parts = walls(sizes, ({ shown }, { h, w }, title) =>
    h * w === 1 || Math.max(h, w) > MOST_PIXELS ? undefined : kernelPicture(shown, h, w, title),
  );
  return parts.length === 0
    ? undefined
    : figure(html`${parts}`, `Up to 64 kernels of every source, evenly spaced. ${SCALE_NOTE}`);
}

function spectra(sizes: readonly ReportSize[]): Html | undefined {
  const power = walls(sizes, (group, _, title) => group.power && spectrumPicture(group.power, title));
  const variance = sizes.flatMap((size) => {
    const drawing = variancePanel(size);
    return drawing ? [html`<div class="panel"><h4>${size.h}×${size.w}</h4>${drawing}</div>`] : [];
  });
  if (power.length + variance.length === 0) return undefined;
  return html`${power.length > 0 && figure(html`${power}`, SPECTRUM_CAPTION)}${
    variance.length > 0 && figure(html`<div class="panels">${variance}</div>`, VARIANCE_CAPTION)
  }`;
}

/** A colour for every curve; of many parts of a dataset only for the whole, which is drawn last. */
function variancePanel(size: ReportSize): Html | undefined {
  const shown = all(size).filter(({ explainedVariance }) => explainedVariance !== null);
  const series = shown.map(
    ({ name }, i): Series => ({
      label: name,
      prior: name,
      colour: `var(--c${i % COLOURS})`,
      dash: DASHES[Math.floor(i / COLOURS) % DASHES.length]!,
    }),
  );
  const pale = summarised(size) !== size;
  const curves = shown.map(({ explainedVariance }, i) => ({
    shares: explainedVariance!,
    ...((!pale || i === 0) && series[i]),
  }));
  const drawing = varianceChart(curves.reverse());
  const names = pale ? legend(series.slice(0, 1), [html`<li>pale: its sources</li>`]) : legend(series);
  return drawing && html`${names}${drawing}`;
}

function shifts(sizes: readonly ReportSize[]): Html | undefined {
  const parts = sizes.flatMap(({ h, w, shift }) => {
    const drawing = shift && shiftMatrix(shift);
    return drawing ? [html`<h3>${h}×${w}</h3>${drawing}`] : [];
  });
  return parts.length === 0 ? undefined : figure(html`${parts}`, SHIFT_CAPTION);
}

function layersTable(layers: readonly ReportLayer[]): Html | undefined {
  if (layers.length === 0) return undefined;
  const models = [...new Set(layers.map(({ model }) => model))];
  const tables = models.map((model) => {
    const own = layers.filter((layer) => layer.model === model);
    const rows = own.map(
      (layer) =>
        html`<tr><th scope="row">${layer.name}</th><td>${layer.kind}</td><td>${layer.shape.join(' × ')}</td><td>${layer.dtype}</td>${measureCells(layer)}</tr>`,
    );
    const head = ['kind', 'out × in × h × w', 'stored as', ...MEASURES];
    return html`${models.length > 1 && html`<h3>${model}</h3>`}<div class="scroll"><table class="layers"><thead><tr><th scope="col">layer</th>${head.map(
      (title) => html`<th scope="col">${title}</th>`,
    )}</tr></thead><tbody>${rows}</tbody></table></div>`;
  });
  return figure(
    html`${tables}`,
    `${plural(layers.length, 'layer')} in the order of the file. The measures are those of the first table.`,
  );
}
