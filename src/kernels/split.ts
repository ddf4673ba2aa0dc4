// Train and test rows of a collection: by source model where there are enough of them, by kernel otherwise.
import { foldIn, type Key, RandomStream } from '../engine/random.js';
import { heldOutRows } from './kernels.js';

/** With this many models or more, test kernels come from models that no train kernel comes from. */
export const MODELS_FOR_SPLIT = 5;

export interface Split {
  by: 'model' | 'kernel' | 'none';
  /** Indices of the models whose kernels are the test part; only with `by: 'model'`. */
  testModels: number[];
  /** Whether row i is a test row. */
  isTest: boolean[];
}

/**
 * @param models the index of the source model of each row
 * @param fraction of the rows wanted in the test part; 0: no test part
 */
export function splitRows(models: readonly number[], fraction: number, key: Key): Split {
  const counts = new Map<number, number>();
  for (const model of models) counts.set(model, (counts.get(model) ?? 0) + 1);
  if (fraction === 0 || models.length < 2)
    return { by: 'none', testModels: [], isTest: models.map(() => false) };
  if (counts.size < MODELS_FOR_SPLIT) {
    const test = heldOutRows(models.length, fraction, foldIn(key, 'kernel'));
    return { by: 'kernel', testModels: [], isTest: models.map((_, row) => test.has(row)) };
  }
  const testModels = chooseModels(counts, fraction * models.length, foldIn(key, 'model'));
  return { by: 'model', testModels, isTest: models.map((model) => testModels.includes(model)) };
}

const ORDERS = 32;

/**
 * Of some random orders of the models the one whose greedy choice comes nearest to `wanted` rows, where greedy is:
 * every model that brings the test part nearer. At least one model, never all.
 */
function chooseModels(counts: Map<number, number>, wanted: number, key: Key): number[] {
  const models = [...counts.keys()].sort((a, b) => a - b);
  const random = new RandomStream(key);
  let best = [models.reduce((a, b) => (counts.get(b)! < counts.get(a)! ? b : a))];
  let bestDistance = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ORDERS; i++) {
    const chosen: number[] = [];
    let rows = 0;
    for (const at of random.permutation(models.length)) {
      const n = counts.get(models[at])!;
      if (chosen.length === models.length - 1 || Math.abs(rows + n - wanted) >= Math.abs(rows - wanted))
        continue;
      chosen.push(models[at]);
      rows += n;
    }
    const distance = Math.abs(rows - wanted);
    if (chosen.length > 0 && distance < bestDistance) [best, bestDistance] = [chosen, distance];
  }
  return best.sort((a, b) => a - b);
}
