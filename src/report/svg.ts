// Charts as SVG text: Observable Plot drawing into a document that lives in memory.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { type Html, html, trusted } from './html.js';
import type { Series } from './series.js';

export { Plot };

const { document } = parseHTML('<html><body></body></html>');

/** Coordinates keep two decimals: finer than any screen, a third of the bytes. */
const rounded = (svg: string) =>
  svg.replace(/="[^"]*"/g, (value) =>
    /\d\.\d{3}/.test(value)
      ? value.replace(/\d+\.\d{3,}(?![\de])/g, (n) => String(Number(Number(n).toFixed(2))))
      : value,
  );

/**
 * One chart. The text in `ariaLabel` describes it to who cannot see it and must not come from a file.
 * Colours may be CSS variables; the background is that of the page.
 */
export function chart(options: Plot.PlotOptions & { ariaLabel: string }): Html {
  const svg = Plot.plot({
    ...options,
    document: document as never,
    style: { fontSize: '12px', fontFamily: 'inherit', overflow: 'visible' },
  });
  const text = (svg as unknown as { outerHTML: string }).outerHTML
    // the page has the few rules that this repeats in every chart
    .replace(/<style>[\s\S]*?<\/style>/g, '')
    .replace('<svg', '<svg role="img"');
  return trusted(rounded(text));
}

/** Marks with a name of their own (Plot takes the option `ariaLabel` for a column of the data). */
export const named = <M extends object>(ariaLabel: string, mark: M): M => Object.assign(mark, { ariaLabel });

/** The same chart for a wide and for a narrow screen; the style sheet shows one of them. */
export const fitted = (draw: (width: number, narrow: boolean) => Html): Html =>
  html`<div class="wide">${draw(860, false)}</div><div class="narrow">${draw(350, true)}</div>`;

/** Names of the lines with a sample of each. */
export const legend = (series: readonly Series[], extra: readonly Html[] = []): Html =>
  html`<ul class="legend">${series.map(
    ({ label, colour, dash }) =>
      html`<li><svg width="26" height="12" viewBox="0 0 26 12" aria-hidden="true"><path d="M1,6H25" stroke="${colour}" stroke-width="2" stroke-dasharray="${dash || 'none'}"/><circle cx="13" cy="6" r="3.5" fill="${colour}"/></svg>${label}</li>`,
  )}${extra}</ul>`;

/** A hollow mark for the legend. */
export const hollowMark = (label: string, colour: string): Html =>
  html`<li><svg width="26" height="12" viewBox="0 0 26 12" aria-hidden="true"><circle cx="13" cy="6" r="4" fill="none" stroke="${colour}" stroke-width="1.5"/></svg>${label}</li>`;
