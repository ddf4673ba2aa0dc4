// Markup that escapes by itself: whatever is put into an html`…` template is text unless it is Html already.

/** Markup that is known to be safe. Only html`…` and trusted() make it. */
export class Html {
  constructor(readonly text: string) {}
}

type Part = Html | string | number | false | undefined | readonly Part[];

const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for the inside of an element or a quoted attribute; control characters that HTML forbids are dropped. */
export const escapeHtml = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '')
    .replace(/[&<>"']/g, (character) => ESCAPES[character]!);

const markup = (part: Part): string => {
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(markup).join('');
  return part === undefined || part === false ? '' : escapeHtml(String(part));
};

/** Template tag: strings and numbers are escaped, lists are joined, false and undefined leave nothing. */
export const html = (strings: TemplateStringsArray, ...parts: Part[]): Html =>
  new Html(strings.reduce((text, string, i) => text + markup(parts[i - 1]) + string));

/** Markup from elsewhere that has been made safe by its maker (an SVG serialiser, a style sheet). */
export const trusted = (text: string): Html => new Html(text);

/** A drawing with the sentence or two that say what it shows. Nothing when there is nothing to draw. */
export const figure = (content: Html | undefined, caption: string, className = ''): Html | undefined =>
  content && html`<figure class="${className}">${content}<figcaption>${caption}</figcaption></figure>`;

/** A part of the page that is folded away until it is asked for. */
export const details = (summary: string | Html, content: Part, open = false): Html =>
  html`<details${trusted(open ? ' open' : '')}><summary>${summary}</summary>${content}</details>`;
