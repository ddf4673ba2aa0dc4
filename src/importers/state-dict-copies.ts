// Running averages, momentum encoders, teachers and target networks that a file holds beside the network itself:
// subtrees of names with the same paths and shapes as another one. Only one of the two is collected.
import { DwpError } from '../errors.js';
import { sizeOf } from '../formats/shape.js';
import { shown } from '../formats/source.js';
import { type NamedTensor, partsOf, type Weight } from './state-dict-tensors.js';

/** Part of the path of a running average of the weights. */
const AVERAGED = /(^|_)(ema|swa|shadow|averaged?|avg|polyak)(_|$)/i;
/** Part of the path of a network that follows another one. */
const FOLLOWS =
  /(^|_)(teacher|momentum|target|targ|key|slow|lagged|old|prev|previous|copy|best|frozen|initial|original)(_|$)|_[km]$|^(target|teacher|momentum)/i;
/** What is left of `encoder_k` and `encoder_q`, of `teacher` and `student` is the same. */
const WORDS =
  /ema|swa|shadow|averaged?|avg|polyak|teacher|student|momentum|target|targ|online|key|query|slow|fast|lagged|old|new|prev(ious)?|current|copy|best|frozen|initial|original|main|base|(?<=_)[kqm](?=_|$)|_/gi;
/** A part that says nothing: wrappers of networks. */
const WRAPPER = /^(module|model|_orig_mod|net|network|state_dict|params|checkpoint|weights)$/;
const MOST_PARTS = 24;
/** Names of a file times subtrees that are compared with them. */
const MOST_WORK = 5e7;
/** A subtree of so many weights with counterparts is a network, not a module that happens to have a like one. */
const NETWORK = 3;
/** Subtrees of which neither name says anything are compared where each has this part of all weights. */
const LARGE = 0.2;

interface Path {
  name: string;
  parts: readonly string[];
  shape: string;
}

/**
 * Why weights are left out, by their tensor's name.
 *
 * A subtree is a copy if half of its tensors, biases and statistics too, have a counterpart of the same path and shape
 * in another subtree, beside it or, where nothing but wrappers is above it, anywhere. Of small ones, and of those whose
 * names do not say so, the values have to be alike, too.
 */
export function copiesOf(weights: readonly Weight[], tensors: readonly NamedTensor[]): Map<string, string> {
  const reasons = new Map<string, string>();
  const paths = tensors.map(({ name, shape }) => ({ name, parts: partsOf(name), shape: shape.join() }));
  const byTensor = new Map(weights.map((weight) => [weight.tensor, weight]));
  let rest: readonly Path[] = paths;
  const subtrees = subtreesOf(weights);
  if (subtrees.length * paths.length > MOST_WORK) return reasons;
  for (const { head, named } of subtrees) {
    const inside = rest.filter((path) => isUnder(path, head));
    const outside = rest.filter((path) => !isUnder(path, head));
    const source = sourceOf(head, inside, outside);
    if (!source) continue;
    const pairs = [...source.pairs].flatMap(([copy, original]) => {
      const both = [byTensor.get(copy), byTensor.get(original)];
      return both[0] && both[1] ? [[both[0], both[1]] as const] : [];
    });
    if (pairs.length === 0 || !isCopy(head, source.prefix, pairs, named)) continue;
    const last = head[head.length - 1];
    const from = source.prefix.length === 0 ? 'the network' : shown(source.prefix.join('.'));
    const what = AVERAGED.test(last)
      ? `a running average of ${from} in this file`
      : `a copy of ${from} in this file (a momentum encoder, teacher, target network or the like)`;
    for (const [copy] of pairs) reasons.set(copy.tensor, what);
    const copied = new Set(source.pairs.keys());
    rest = rest.filter(({ name }) => !copied.has(name));
  }
  return reasons;
}

const isUnder = ({ parts }: Path, head: readonly string[]) => head.every((part, i) => parts[i] === part);
const isAbove = (parts: readonly string[]) => parts.every((part) => WRAPPER.test(part));
const saysCopy = (part: string) => AVERAGED.test(part) || FOLLOWS.test(part);

/** Subtrees that may be copies: by their names, and large ones at the top of the file but for the first. */
function subtreesOf(weights: readonly Weight[]): { head: string[]; named: boolean }[] {
  const named = new Map<string, string[]>();
  const tops = new Map<string, { head: string[]; count: number }>();
  for (const { tensor } of weights) {
    const parts = partsOf(tensor).slice(0, MOST_PARTS);
    const at = parts.slice(0, -1).findIndex(saysCopy);
    if (at >= 0) named.set(parts.slice(0, at + 1).join('.'), parts.slice(0, at + 1));
    const top = parts.slice(0, -1).findIndex((part) => !WRAPPER.test(part));
    if (top < 0) continue;
    const head = parts.slice(0, top + 1);
    const known = tops.get(head.join('.')) ?? { head, count: 0 };
    known.count++;
    tops.set(head.join('.'), known);
  }
  const large = [...tops.entries()].filter(
    ([key, { count }]) => !named.has(key) && count >= LARGE * weights.length && weights.length > 1,
  );
  return [
    ...[...named.values()].map((head) => ({ head, named: true })),
    ...large.slice(1).map(([, { head }]) => ({ head, named: false })),
  ];
}

/** The other subtree in which most tensors have a counterpart, and those by their names. */
function sourceOf(
  head: readonly string[],
  inside: readonly Path[],
  outside: readonly Path[],
): { prefix: string[]; pairs: Map<string, string> } | undefined {
  const keyOf = (tail: readonly string[], shape: string) => {
    const from = tail.findIndex((part, i) => !WRAPPER.test(part) || i === tail.length - 1);
    return `${tail.slice(from).join('.')}|${shape}`;
  };
  const tails = new Map(
    inside.map(({ name, parts, shape }) => [keyOf(parts.slice(head.length), shape), name]),
  );
  const parents = head.slice(0, -1);
  const anywhere = isAbove(parents);
  const found = new Map<string, { prefix: string[]; pairs: Map<string, string> }>();
  for (const path of outside) {
    if (!anywhere && !isUnder(path, parents)) continue;
    const last = anywhere ? path.parts.length - 1 : Math.min(path.parts.length - 1, head.length + 1);
    for (let cut = anywhere ? 0 : parents.length; cut <= Math.min(last, MOST_PARTS - 1); cut++) {
      const copy = tails.get(keyOf(path.parts.slice(cut), path.shape));
      if (copy === undefined) continue;
      const prefix = path.parts.slice(0, cut);
      const known = found.get(prefix.join('.')) ?? { prefix, pairs: new Map<string, string>() };
      known.pairs.set(copy, path.name);
      found.set(prefix.join('.'), known);
    }
  }
  // of equals that which does not say that it is a copy, then that which is named in full
  const rank = ({ prefix, pairs }: { prefix: string[]; pairs: Map<string, string> }) =>
    pairs.size - (prefix.some(saysCopy) ? 0.5 : 0) + prefix.length / (2 * MOST_PARTS);
  let best: { prefix: string[]; pairs: Map<string, string> } | undefined;
  for (const candidate of found.values()) if (!best || rank(candidate) > rank(best)) best = candidate;
  return best && 2 * best.pairs.size >= inside.length ? best : undefined;
}

function isCopy(
  head: readonly string[],
  source: readonly string[],
  pairs: readonly (readonly [Weight, Weight])[],
  named: boolean,
): boolean {
  if (!named) return correlation(pairs) > 0.9;
  const [headWord, other] = [head, source].map((path) => path.at(-1)?.replace(WORDS, '') ?? '');
  const related = headWord === other || (headWord === '' && isAbove(source));
  const network = pairs.length >= NETWORK;
  if (isAbove(head.slice(0, -1)) ? network || related : network && related) return true;
  return correlation(pairs) > 0.5;
}

/** Of the values of the pair with the fewest, but enough of them to tell; 0 where they cannot be read. */
function correlation(pairs: readonly (readonly [Weight, Weight])[]): number {
  const sorted = [...pairs].sort(([a], [b]) => sizeOf(a.shape) - sizeOf(b.shape));
  const [a, b] = sorted.find(([{ shape }]) => sizeOf(shape) >= 64) ?? sorted[sorted.length - 1];
  try {
    const [x, y] = [a.read(), b.read()];
    let [xy, xx, yy] = [0, 0, 0];
    for (let i = 0; i < x.length; i++) {
      xy += x[i] * y[i];
      xx += x[i] ** 2;
      yy += y[i] ** 2;
    }
    return xy / Math.sqrt(xx * yy) || 0;
  } catch (error) {
    if (error instanceof DwpError) return 0;
    throw error;
  }
}
