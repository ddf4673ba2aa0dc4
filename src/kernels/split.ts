// Train and test rows of a collection: by source model where there are enough of them, by kernel otherwise.
import { foldIn, type Key, RandomStream } from '../engine/random.js';
import { heldOutCount } from './kernels.js';

/** With this many models or more, test kernels come from models that no train kernel comes from. */
const MODELS_FOR_SPLIT = 5;

export interface Split {
  by: 'model' | 'kernel' | 'none';
  /** Indices of the models whose kernels are the test part; only with `by: 'model'`. */
  testModels: number[];
  /** Rows of the test part. */
  testRows: number;
}

/**
 * @param counts rows of each model; models without any do not count
 * @param fraction of the rows wanted in the test part; 0: no test part
 * @param by how; undefined: by model where there are {@link MODELS_FOR_SPLIT} or more
 */
export function planSplit(
  counts: ReadonlyMap<number, number>,
  fraction: number,
  key: Key,
  by?: 'model' | 'kernel',
): Split {
  const present = new Map([...counts].filter(([, rows]) => rows > 0));
  const total = [...present.values()].reduce((a, b) => a + b, 0);
  if (fraction === 0 || total < 2) return { by: 'none', testModels: [], testRows: 0 };
  if (by === 'kernel' || present.size < (by === 'model' ? 2 : MODELS_FOR_SPLIT))
    return { by: 'kernel', testModels: [], testRows: heldOutCount(total, fraction) };
  const testModels = chooseModels(present, fraction * total, foldIn(key, 'model'));
  return {
    by: 'model',
    testModels,
    testRows: testModels.reduce((sum, model) => sum + present.get(model)!, 0),
  };
}

/** A random choice of `wanted` out of `total`, made one after the other (Knuth's algorithm S). */
export class Selection {
  private readonly random: RandomStream;

  constructor(
    private total: number,
    private wanted: number,
    key: Key,
  ) {
    this.random = new RandomStream(key);
  }

  /** Whether the next one is chosen. */
  next(): boolean {
    const chosen = this.random.uniform() * this.total < this.wanted;
    this.total--;
    if (chosen) this.wanted--;
    return chosen;
  }
}

const ORDERS = 32;

/**
 * Of some random orders of the models the one whose greedy choice comes nearest to `wanted` rows, where greedy is:
 * every model that brings the test part nearer. At least one model, never all.
 */
function chooseModels(counts: ReadonlyMap<number, number>, wanted: number, key: Key): number[] {
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
