// A map of z that the reader moves through while the decoder runs in the page.
import { createHash } from 'node:crypto';
import { type Html, html, trusted } from '../html.js';
import { type Decoder, decodeKernel } from '../latent/decode.js';
import { EXPLORER } from '../latent/explorer.js';

export interface LatentMap {
  h: number;
  w: number;
  channels: number;
  decoder: Decoder;
  /** Means of r(z|w) in principal coordinates, the most varying first: [n, l]. */
  points: Float32Array;
  /** Directions of these coordinates, [l, l] by rows, and their origin, [l]. */
  axes: Float32Array;
  mean: Float32Array;
  /** How far the map and the sliders go along each of them, [l]. */
  limits: Float32Array;
  /** The network that a kernel is from, [n], and their names, those of the most kernels first. */
  groups: Uint8Array;
  names: string[];
  /** [n, d] */
  kernels: Float32Array;
}

/** Bytes of arrays in a page: more would make it slow to open. */
const MOST_BYTES = 6e6;
const DRAWS = 6;

const base64 = (x: ArrayLike<number>): string => Buffer.from(Float32Array.from(x).buffer).toString('base64');

/** Arrays as calls that read them, the rest as JSON that cannot end the script. */
function literal(value: unknown): string {
  if (value instanceof Uint8Array) return `Uint8Array.from([${value.join(',')}])`;
  if (ArrayBuffer.isView(value)) return `floats("${base64(value as Float32Array)}")`;
  if (Array.isArray(value)) return `[${value.map(literal).join(',')}]`;
  if (value && typeof value === 'object')
    return `{${Object.entries(value)
      .filter(([, part]) => part !== undefined)
      .map(([name, part]) => `${name}:${literal(part)}`)
      .join(',')}}`;
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The script of the map, undefined where its arrays are too large for a page. */
export function mapScript(map: LatentMap): string | undefined {
  const data = literal(map);
  if (data.length > MOST_BYTES) return undefined;
  return `(() => { 'use strict';
const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const decodeKernel = ${decodeKernel.toString()};
const data = ${data};
${EXPLORER}})();`;
}

/** For the page's policy: this script and no other may run. */
export const scriptHash = (script: string): string =>
  `'sha256-${createHash('sha256').update(script).digest('base64')}'`;

export function latentMap({ names, limits, h, w, channels }: LatentMap, script: string): Html {
  const canvas = (id: string, label: string, size: number) =>
    html`<canvas id="${id}" role="img" aria-label="${label}" width="${w}" height="${h * (channels === 3 ? 1 : channels)}" style="width:${size}px"></canvas>`;
  const sliders = Array.from(limits, (limit, axis) => ({ limit, axis })).slice(2);
  return html`<div id="latent-map" hidden>
<ul class="legend">${names.map(
    (name, i) => html`<li><span class="swatch" style="background:var(--c${i % 8})"></span>${name}</li>`,
  )}</ul>
<div class="explorer"><canvas id="map" width="720" height="720" tabindex="0" role="application" aria-label="Map of z. Arrow keys move, with Shift faster. The kernel beside it is what the decoder makes of the place."></canvas>
<div><div class="kernels"><div><h4>Mean of p(w|z)</h4>${canvas('mean', 'mean kernel at this place', 176)}</div>
<div id="real" hidden><h4>The real kernel</h4>${canvas('own', 'the real kernel of the chosen dot', 176)}<small id="whose"></small></div></div>
<h4>Draws of p(w|z)</h4><div id="draws">${Array.from({ length: DRAWS }, (_, i) => html`<canvas role="img" aria-label="draw ${i + 1}" width="${w}" height="${h}" style="width:56px"></canvas>`)}</div>
<p><button type="button" id="anywhere">A draw of p(z)</button> <button type="button" id="next">Next real kernel</button></p>
<div id="directions">${sliders.map(
    ({ limit, axis }) =>
      html`<label>Direction ${axis + 1} <input type="range" min="${-limit}" max="${limit}" step="${limit / 50}" value="0" data-axis="${axis}"></label>`,
  )}</div>
<small id="where" role="status"></small></div></div></div>
<script>${trusted(script)}</script>`;
}
