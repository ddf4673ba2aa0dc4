// Grids of kernels as images in the page, and the sentence that says how to read them.
import { pngDataUri } from '../../formats/png.js';
import { type Html, html } from '../html.js';
import { plural } from '../numbers.js';
import { columnsFor, kernelGridPng } from './kernel-grid.js';

const MOST = 64;

export const SCALE_NOTE =
  'Mid-grey is zero, lighter is positive, darker is negative; every kernel is scaled by its own largest absolute weight, so pictures compare shapes, not sizes.';

/** Up to 64 kernels of [h, w], or filters [channels, h, w], as one image, `wide` CSS pixels at most when eight are in a row; nothing when there are none. */
export function kernelPicture(
  kernels: readonly (readonly number[])[],
  h: number,
  w: number,
  title: string | Html,
  wide = 200,
): Html | undefined {
  const shown = kernels.slice(0, MOST);
  if (shown.length === 0) return undefined;
  const channels = shown[0]!.length / (h * w);
  const png = kernelGridPng(shown, shown.length, h, w, { gap: 'transparent', channels });
  const columns = columnsFor(MOST);
  const zoom = Math.max(1, Math.floor(wide / (columns * (w + 1) - 1)));
  const width = (columnsFor(shown.length) * (w + 1) - 1) * zoom;
  return html`<div class="picture"><h4>${title}</h4><img src="${pngDataUri(png)}" alt="${plural(
    shown.length,
    'kernel',
  )} of ${h}×${w}" style="width:${width}px"></div>`;
}
