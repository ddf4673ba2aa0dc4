// A network from the text of a YAML file: {name, layers: [...]}, each layer as {kind: conv, channels: 8, kernel: 3}, or
// shorter as {conv: {channels: 8, kernel: 3}} or `relu`.
import { type Document, isMap, isNode, isSeq, LineCounter, parseDocument } from 'yaml';
import { type DwpError, messageOf, usageError } from '../errors.js';
import { type DescribedNetwork, describedNetwork } from './described.js';
import { layerKinds } from './kinds/index.js';

const MOST_CHARACTERS = 2 ** 20;
const KEYS = ['name', 'layers'];
const HINT = 'see docs/own-networks.md and examples/networks';

/**
 * @param file its name, for messages
 * @throws DwpError USAGE with file and line where the text is not YAML, or is no list of layers
 */
export function networkFromYaml(text: string, file: string): DescribedNetwork {
  const counter = new LineCounter();
  const refused = (what: string, offset?: number, hint = HINT): DwpError =>
    usageError(
      offset === undefined ? `${file}: ${what}` : `${file}, ${lineAt(counter, offset)}: ${what}`,
      hint,
    );
  if (text.length > MOST_CHARACTERS)
    throw refused(`more than ${MOST_CHARACTERS} characters, which no list of layers has`);
  const document = parsed(text, counter, refused);
  const root = document.contents;
  if (!isMap(root)) throw refused('not a network: it needs a list called layers');
  for (const { key } of root.items)
    if (!KEYS.includes(String(key)))
      throw refused(
        `there is no key ${String(key)}`,
        isNode(key) ? key.range?.[0] : 0,
        `keys: ${KEYS.join(', ')}`,
      );
  const list = root.get('layers', true);
  if (!isSeq(list)) throw refused('layers is not a list', root.range?.[0]);
  const name = root.get('name') ?? file.replace(/^.*[\\/]/, '').replace(/\.ya?ml$/i, '');
  const layers: unknown[] = [];
  const lines: number[] = [];
  for (const item of list.items) {
    const offset = isNode(item) ? (item.range?.[0] ?? 0) : 0;
    layers.push(described(plain(document, item, refused), (what, hint) => refused(what, offset, hint)));
    lines.push(counter.linePos(offset).line);
  }
  const network = describedNetwork.safeParse({ name, file, layers, lines });
  if (network.success) return network.data;
  const [{ path, message }] = network.error.issues;
  const [part, index, ...option] = path;
  if (part !== 'layers' || typeof index !== 'number') throw refused(`${path.join('.')}: ${message}`);
  throw refused(`layer ${index + 1}: ${option.join('.')}: ${message}`, offsetOf(list.items[index]));
}

const offsetOf = (item: unknown) => (isNode(item) ? (item.range?.[0] ?? 0) : 0);
const lineAt = (counter: LineCounter, offset: number) => `line ${counter.linePos(offset).line}`;

function parsed(text: string, counter: LineCounter, refused: (what: string, offset?: number) => DwpError) {
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  } catch (error) {
    throw refused(`not valid YAML (${messageOf(error)})`); // lists inside lists, deeper than can be followed
  }
  const [error] = document.errors;
  if (error) throw refused(`not valid YAML (${messageOf(error)})`, error.pos[0]);
  return document;
}

/** A part of the file as plain values; aliases are followed, as far as they stay small. */
function plain(
  document: Document,
  item: unknown,
  refused: (what: string, offset?: number) => DwpError,
): unknown {
  if (!isNode(item)) return item;
  try {
    return item.toJS(document);
  } catch (error) {
    throw refused(messageOf(error), offsetOf(item));
  }
}

/** Any of the three forms as {kind, …options}. */
function described(item: unknown, refused: (what: string, hint?: string) => DwpError): unknown {
  const kinds = `kinds: ${[...layerKinds.keys()].join(', ')}`;
  if (typeof item === 'string') return { kind: item };
  if (typeof item !== 'object' || item === null || Array.isArray(item))
    throw refused('this is no layer', 'write the kind of a layer and its options');
  if ('kind' in item) return item;
  const entries = Object.entries(item);
  const [[kind, options] = ['', null]] = entries;
  if (entries.length !== 1) throw refused('this layer has no kind', kinds);
  if (options !== null && (typeof options !== 'object' || Array.isArray(options)))
    throw refused(`layer ${kind}: its options are no mapping`, `write ${kind}: {option: value}`);
  return { ...options, kind };
}
