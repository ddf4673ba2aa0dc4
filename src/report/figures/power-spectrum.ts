// The mean power spectrum of a group of kernels as a picture.
import { encodeGreyPng, pngDataUri } from '../../formats/png.js';
import { type Html, html } from '../html.js';

const OCTAVES = 3;
const WIDE = 132;

/** @param power [points, points], relative to noise: 1 is mid-grey, 8 white, 1/8 black */
export function spectrumPicture(power: readonly (readonly number[])[], title: string): Html {
  const pixels = Uint8Array.from(power.flat(), (value) => {
    const octaves = Math.log2(Math.max(value, Number.MIN_VALUE)) / OCTAVES;
    return Math.round(128 + 127 * Math.min(1, Math.max(-1, octaves)));
  });
  const png = encodeGreyPng(pixels, power[0]!.length, power.length);
  return html`<div class="picture"><h4>${title}</h4><img src="${pngDataUri(png)}" alt="mean power spectrum" style="width:${WIDE}px"></div>`;
}

export const SPECTRUM_CAPTION =
  'Mean power by spatial frequency of kernels scaled to unit length: constant in the middle, the finest stripes at the edges. ' +
  'Mid-grey is what white noise has everywhere, white eight times as much, black an eighth. Smooth kernels are bright in the middle; an even grey means that there is nothing but noise.';
