// Test kernels that are nearly copies of train kernels: a density that is measured on them looks too good.
import { hasBit } from './bits.js';
import type { SizeText } from './kernels.js';
import type { PlannedLayer, SizePlan } from './plan.js';

export interface Leak {
  size: SizeText;
  /** Test kernels with a near copy among the train kernels. */
  kernels: number;
  test: number;
  /** How many of them were looked up, where not all were. */
  sampled?: number;
  /** Names of the models that share them, the pair with the most first. */
  models: [string, string];
}

/** Up to this share of the test kernels nothing is said. */
export const ALLOWED = 0.01;

/**
 * Of the layers that are nearly copies of others, by the places of their kernels.
 *
 * @param layers all of the plan, with their sides
 */
export function leaksIn(
  plans: ReadonlyMap<SizeText, SizePlan>,
  layers: readonly PlannedLayer[],
  nameOf: (model: number) => string,
): Leak[] {
  const bySize = new Map<SizeText, Map<string, { kernels: number; models: [string, string] }>>();
  for (const copy of layers) {
    if (copy.copyOf === undefined) continue;
    const original = layers[copy.copyOf];
    let across = 0;
    for (let row = 0; row < copy.found; row++)
      if (hasBit(copy.kept, row) && hasBit(original.kept, row) && isTest(copy, row) !== isTest(original, row))
        across++;
    if (across === 0) continue;
    const pairs = bySize.get(copy.size) ?? new Map();
    bySize.set(copy.size, pairs);
    const models = [nameOf(original.model), nameOf(copy.model)];
    const key = models.join('\n');
    pairs.set(key, { kernels: (pairs.get(key)?.kernels ?? 0) + across, models });
  }
  return [...bySize].flatMap(([size, pairs]) => {
    const test = plans.get(size)?.test ?? 0;
    const most = [...pairs.values()].sort((a, b) => b.kernels - a.kernels);
    const kernels = Math.min(
      test,
      most.reduce((sum, pair) => sum + pair.kernels, 0),
    );
    return kernels > ALLOWED * test ? [{ size, kernels, test, models: most[0].models }] : [];
  });
}

const isTest = ({ test, testCount }: PlannedLayer, row: number): boolean =>
  test ? hasBit(test, row) : testCount > 0;

/** One line: how many, of which models, and what to do. */
export function leakWarning({ size, kernels, test, sampled = test, models: [a, b] }: Leak): string {
  const all = sampled < test ? `${sampled} sampled (of ${test})` : `${test}`;
  return (
    `${kernels} of ${all} test kernels of ${size} (${Math.round((100 * kernels) / sampled)} %) are nearly copies of ` +
    `train kernels${a === b ? `, in ${a}` : `, such as those of ${a} and ${b}`}: a prior looks better on them than ` +
    'it is; drop them with --duplicates near, leave out one of the models, or divide the kernels again with dwp split-kernels'
  );
}
