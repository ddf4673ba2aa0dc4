// The frame of a page: head, headline, links to the sections. One HTML document that asks for no other file.
import { type Html, html, trusted } from './html.js';
import { STYLE } from './style.js';

export interface Section {
  id: string;
  /** In the list of links. */
  short: string;
  title: string;
  /** Sections without are left out. */
  content: Html | undefined;
}

// Nothing is fetched, and nothing runs but a script of our own, whatever a file has put into the page.
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/** @param opening what stands before the sections @returns the document; the same input gives the same text */
export function page({
  title,
  about,
  opening,
  sections,
  script,
}: {
  title: string;
  about: string;
  opening: Html;
  sections: readonly Section[];
  /** Source of the policy for the one script that may run, by its hash; none without. */
  script?: string;
}): string {
  const shown = sections.filter(({ content }) => content !== undefined);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${trusted(script === undefined ? POLICY : `${POLICY}; script-src ${script}`)}">
<title>${title}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<main>
<header>
<h1>${title}</h1>
<div class="muted">${about}</div>
<nav>${shown.map(({ id, short }) => html`<a href="#${id}">${short}</a>`)}</nav>
</header>
${opening}
${shown.map(({ id, title, content }) => html`<section id="${id}">\n<h2>${title}</h2>\n${content}\n</section>\n`)}
</main>
</body>
</html>
`.text;
}
