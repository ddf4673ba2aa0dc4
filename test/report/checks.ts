// What is checked of every page, and text that a file might hold.

const VOID = new Set(['meta', 'img', 'br', 'hr', 'link', 'input']);

/** Every opening tag is closed by its own closing tag, and attribute values are quoted. @throws Error where not. */
export function checkWellFormed(page: string): void {
  const open: string[] = [];
  const text = page.replace(/<!doctype html>/i, '').replace(/<style>[\s\S]*?<\/style>/g, '');
  const tag = /<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+(?:="[^"]*")?)*)\s*(\/?)>|</g;
  for (const [whole, closing, name, , selfClosing] of text.matchAll(tag)) {
    if (name === undefined) throw new Error(`a "<" that starts no tag, after ${open.join(' > ')}`);
    if (VOID.has(name) || selfClosing) continue;
    if (!closing) open.push(name);
    else if (open.pop() !== name) throw new Error(`${whole} closes another element`);
  }
  if (open.length > 0) throw new Error(`left open: ${open.join(' > ')}`);
}

export const HOSTILE = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>&amp;\u0000\u001b]0;`;

/** The same input with every text replaced. */
export const withText = <T>(value: T, text: string): T => {
  if (typeof value === 'string') return text as T;
  if (Array.isArray(value)) return value.map((item) => withText(item, text)) as T;
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withText(item, text)])) as T;
  return value;
};

/** What stands around the first place where it is found: a message of readable length. */
export function find(text: string, what: string | RegExp): string | undefined {
  const at = typeof what === 'string' ? text.indexOf(what) : text.search(what);
  return at < 0 ? undefined : text.slice(Math.max(0, at - 60), at + 60);
}

export const withoutImages = (page: string) => page.replace(/data:image\/png;base64,[\w+/=]+/g, 'data:');
