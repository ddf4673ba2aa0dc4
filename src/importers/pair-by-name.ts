// Which batch norm follows which convolution, where a file has names and no graph: `conv1` and `bn1`, `features.0` and
// `features.1`, `stem_conv` and `stem_bn`. What names do not settle is not paired.

export interface Part {
  /** Path of the layer, with `.` or `/` between the parts. */
  name: string;
  kind: 'conv' | 'norm';
  /** Outputs of a convolution. */
  channels: number;
  /** Inputs of a convolution. */
  inputs?: number;
}

export interface Pairing<P extends Part> {
  pairs: { conv: P; norm: P }[];
  left: { norm: P; reason: string }[];
}

/** Batch norms `bn1`, `bn2`, … of known blocks, after these convolutions (timm's MobileNets and EfficientNets). */
const BLOCKS = [
  ['conv_pw', 'conv_dw', 'conv_pwl'],
  ['conv_exp', 'conv_pwl'],
  ['conv_dw', 'conv_pw'],
  ['conv_stem', 'conv_head'],
  ['conv_stem'],
];

const BEFORE = 'it stands before the convolution of its name (pre-activation), not after it';

/**
 * @param parts in the order of the file
 * @param ordered whether that order is the network's; false where names are sorted
 */
export function pairByName<P extends Part>(parts: readonly P[], ordered: boolean): Pairing<P> {
  const pairs: Pairing<P>['pairs'] = [];
  const left: Pairing<P>['left'] = [];
  const places = new Map(parts.map((part, i) => [part, i]));
  const byName = new Map(parts.map((part) => [part.name, part]));
  const convs = new Map<string, P[]>();
  const norms = new Map<string, P[]>();
  for (const part of parts) {
    const map = part.kind === 'conv' ? convs : norms;
    const stem = stemOf(part.name);
    map.set(stem, [...(map.get(stem) ?? []), part]);
  }
  const namesakes = (norm: P) => convs.get(stemOf(norm.name)) ?? [];
  const preActivation = new Set<string>();
  for (const norm of parts)
    for (const conv of norm.kind === 'norm' ? namesakes(norm) : [])
      if (norm.channels !== conv.channels && norm.channels === conv.inputs)
        preActivation.add(leafOf(norm.name));

  const chosen = (norm: P): P | string => {
    const place = places.get(norm)!;
    const inSequence = sequenceBefore(norm, byName);
    if (inSequence) return inSequence;
    if (/^\d+$/.test(leafOf(norm.name))) {
      const sequence = parts.some(
        ({ name, kind }) =>
          kind === 'conv' && parentOf(name) === parentOf(norm.name) && /^\d+$/.test(leafOf(name)),
      );
      if (sequence) return 'no convolution stands directly before it';
    }
    const block = blockBefore(norm, byName);
    if (block) return block;
    const alike = namesakes(norm);
    if (alike.length === 1 && norms.get(stemOf(norm.name))?.length === 1) {
      const [conv] = alike;
      if (preActivation.has(leafOf(norm.name))) return BEFORE;
      if (!ordered)
        return isNumbered(norm) ? 'its name is a number, which does not tell its convolution' : conv;
      const from = places.get(conv)!;
      if (from > place) return BEFORE;
      if (isNumbered(norm) && from !== place - 1) return 'its name is a number, and other layers lie between';
      const parents = [conv, norm].map(({ name }) => parentOf(name));
      const between = parts.slice(from + 1, place).every(({ name }) => parents.includes(parentOf(name)));
      return between ? conv : `other layers lie between it and ${conv.name}`;
    }
    if (alike.length > 1) return `${alike.length} convolutions have a name like it`;
    const previous = parts[place - 1];
    const adjacent = ordered && previous?.kind === 'conv' && parentOf(previous.name) === parentOf(norm.name);
    if (adjacent && !norms.has(stemOf(previous.name)) && !isNumbered(norm)) return previous;
    return 'no name tells which convolution it follows';
  };

  const taken = new Map<P, P>();
  for (const norm of parts) {
    if (norm.kind !== 'norm') continue;
    const conv = chosen(norm);
    if (typeof conv === 'string') left.push({ norm, reason: conv });
    else if (conv.channels !== norm.channels)
      left.push({
        norm,
        reason: `it has ${norm.channels} channels, ${conv.name} has ${conv.channels} outputs`,
      });
    else if (taken.has(conv))
      left.push({ norm, reason: `${taken.get(conv)!.name} follows ${conv.name} already` });
    else {
      taken.set(conv, norm);
      pairs.push({ conv, norm });
    }
  }
  return { pairs, left };
}

const cutOf = (name: string) => Math.max(name.lastIndexOf('.'), name.lastIndexOf('/'));
const parentOf = (name: string) => name.slice(0, Math.max(cutOf(name), 0));
const leafOf = (name: string) => name.slice(cutOf(name) + 1);
const sibling = (name: string, leaf: string) => name.slice(0, cutOf(name) + 1) + leaf;

/** Keras names such as `batch_normalization_3`, which count the layers of a class. */
const isNumbered = ({ name }: Part) => /^batch_normalization(_v\d)?(_\d+)?$/.test(leafOf(name));

/** In a sequence the layer of the number before: one in between, such as an activation, has a number, too. */
function sequenceBefore<P extends Part>({ name }: P, byName: ReadonlyMap<string, P>): P | undefined {
  const leaf = leafOf(name);
  if (!/^\d{1,6}$/.test(leaf)) return undefined;
  const before = byName.get(sibling(name, String(Number(leaf) - 1)));
  return before?.kind === 'conv' ? before : undefined;
}

function blockBefore<P extends Part>({ name }: P, byName: ReadonlyMap<string, P>): P | undefined {
  const number = Number(/^bn([1-3])$/.exec(leafOf(name))?.[1]);
  if (!number) return undefined;
  const block = BLOCKS.find((convs) =>
    convs.every((conv) => byName.get(sibling(name, conv))?.kind === 'conv'),
  );
  return block?.[number - 1] === undefined ? undefined : byName.get(sibling(name, block[number - 1]));
}

const WORDS =
  /^((sep|dw|pw|separable|depthwise)?conv(olution)?s?|cv|res|bns?|batch|batchnorms?|norms?|normali[sz]ation)$/;

/** What a name says besides what kind of layer it is: `block1a_project_conv` and `block1a_project_bn` say the same. */
function stemOf(name: string): string {
  return name
    .slice(0, 1024)
    .split(/[./]/)
    .map((part) =>
      part
        .replace(/(?<=[a-z])(?=[A-Z][a-z])/g, '_')
        .toLowerCase()
        .replace(/(conv(?:olution)?|norm)_?2d(?![a-z0-9])/g, '$1')
        .replace(/(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])/g, '_')
        .split('_')
        .filter((word) => word !== '' && !WORDS.test(word))
        .join('_'),
    )
    .filter((part) => part !== '')
    .join('/');
}
