// Small training sets drawn from a large one, with as many examples of every class as possible.
import { foldIn, type Key, RandomStream } from '../engine/random.js';
import { usageError } from '../errors.js';

/**
 * Draws rows at random, `examples / classes` of each class. What does not divide goes to randomly chosen
 * classes, one each; what a small class cannot give is shared by the others. With fewer examples than classes
 * some classes are missing. The rows of a class are nested: a larger subset of the same key holds those of a
 * smaller one, as long as both divide by the number of classes and no class runs out.
 * @param labels [n], each from 0 to classes − 1
 * @returns row numbers, ascending
 * @throws DwpError USAGE when there are fewer than `examples` rows
 */
export function stratifiedSubset(
  labels: ArrayLike<number>,
  classes: number,
  examples: number,
  key: Key,
): Int32Array {
  if (examples > labels.length || examples < 1)
    throw usageError(
      `${examples} examples are more than the training set has (${labels.length})`,
      `give --examples from 1 to ${labels.length}`,
    );
  const rows = shuffledRows(labels, classes, key);
  return take(
    rows,
    rows.map(() => 0),
    quotas(
      rows.map((r) => r.length),
      examples,
      foldIn(key, 'remainder'),
    ),
  );
}

/**
 * A training subset and validation rows from what it leaves, both stratified. `train` is what
 * {@link stratifiedSubset} gives for the same key, whatever the size of the validation set.
 * @returns row numbers, ascending and disjoint
 * @throws DwpError USAGE when there are fewer than `examples + validation` rows
 */
export function stratifiedSplit(
  labels: ArrayLike<number>,
  classes: number,
  examples: number,
  validation: number,
  key: Key,
): { train: Int32Array; validation: Int32Array } {
  const train = stratifiedSubset(labels, classes, examples, key);
  const left = labels.length - examples;
  if (validation > left || validation < 0)
    throw usageError(
      `${validation} validation examples are more than the ${left} that remain: ${examples} of ${labels.length} are used for training`,
      'use fewer validation or training examples',
    );
  const used = new Array<number>(classes).fill(0);
  for (const row of train) used[labels[row]]++;
  const rows = shuffledRows(labels, classes, key);
  const available = rows.map((r, c) => r.length - used[c]);
  const wanted = quotas(available, validation, foldIn(key, 'validation remainder'));
  return { train, validation: take(rows, used, wanted) };
}

/** The rows of each class in random order; the order of a class depends on nothing but the key and its rows. */
function shuffledRows(labels: ArrayLike<number>, classes: number, key: Key): Int32Array[] {
  const rows = Array.from({ length: classes }, () => [] as number[]);
  for (let row = 0; row < labels.length; row++) rows[labels[row]].push(row);
  return rows.map((ofClass, c) =>
    new RandomStream(foldIn(key, 'class', c)).permutation(ofClass.length).map((i) => ofClass[i]),
  );
}

/** How many to take of each class: equal shares, filled up from the classes that have more. */
function quotas(available: readonly number[], total: number, key: Key): number[] {
  const wanted = available.map(() => 0);
  const order = new RandomStream(key).permutation(available.length);
  for (let left = total; left > 0; ) {
    const open = [...order].filter((c) => wanted[c] < available[c]);
    const share = Math.max(1, Math.floor(left / open.length));
    for (const c of open.slice(0, left)) {
      const more = Math.min(share, available[c] - wanted[c]);
      wanted[c] += more;
      left -= more;
    }
  }
  return wanted;
}

function take(rows: readonly Int32Array[], from: readonly number[], count: readonly number[]): Int32Array {
  return Int32Array.from(rows.flatMap((r, c) => [...r.subarray(from[c], from[c] + count[c])])).sort();
}
