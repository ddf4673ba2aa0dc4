// Which family a fit takes where none is named: those that fit in seconds are tried on a part of the train kernels, judged
// on the others, and the plainest of the best is fitted to all of them. Test kernels have no part in it.
import { type Engine, foldIn, type Key, RandomStream } from '../engine/index.js';
import { DwpError } from '../errors.js';
import { densityValues } from '../evaluate/density.js';
import { type Kernels, takeKernels } from '../kernels/index.js';
import { families, kernelLength, type PriorFamily } from '../priors/index.js';
import { LONGEST_QUICK } from '../priors/mixture/fit.js';
import { requireSpread } from '../priors/parameters.js';
import { fitPrior } from '../train/fit-prior.js';
import type { JudgeHooks } from './fit-and-judge.js';

export interface FamilyTrial {
  family: string;
  /** Mean log-density of the kernels held out, nats per kernel. */
  nats: number;
  /** What the family that was chosen has more, kernel by kernel, and its standard error; 0 for that family itself. */
  behind: number;
  standardError: number;
}

export interface FamilyChoice {
  family: PriorFamily;
  /** Kernels that the trials were judged on, once each. */
  heldOut: number;
  /** Parts that were held out, one after the other; 1 where there are enough kernels. */
  folds: number;
  /** Best first. */
  trials: FamilyTrial[];
  /** Families that these kernels do not allow, with the reason. */
  skipped: { family: string; reason: string }[];
}

/** Fewer kernels than this are all held out once: a tenth of them says too little. */
const FEW = 500;
const FOLDS = 5;
/** Folds of large kernels, whose covariances take seconds. */
const FOLDS_OF_LARGE = 2;
const HELD_OUT = 0.1;
const MOST_HELD_OUT = 2000;
/** Train kernels of a trial: more change what is best little. */
const MOST_TRAIN = 20_000;
/** Standard errors by which a richer family must be better than a plainer one. */
const STANDARD_ERRORS = 1;

/** From the plainest to the richest. */
const candidatesFor = (kernels: Kernels): PriorFamily[] =>
  [...families.values()].filter(({ automatic }) => automatic?.(kernels)).reverse();

/** @throws DwpError INPUT for fewer than three kernels or equal ones, INTERRUPTED when the signal aborts */
export async function chooseFamily(
  kernels: Kernels,
  engine: Engine,
  key: Key,
  { signal, progress }: JudgeHooks = {},
): Promise<FamilyChoice> {
  requireSpread(kernels);
  const splits = splitsOf(kernels, foldIn(key, 'split'));
  const candidates = candidatesFor(kernels);
  const values = new Map<PriorFamily, Float64Array>();
  const skipped: FamilyChoice['skipped'] = [];
  for (const [i, family] of candidates.entries()) {
    try {
      const folds: number[][] = [];
      for (const [fold, { train, test }] of splits.entries()) {
        progress?.(i * splits.length + fold, `${family.name}`);
        await new Promise((resolve) => setImmediate(resolve));
        const { prior } = await fitPrior(
          {
            family,
            kernels: train,
            config: family.automatic!(kernels),
            engine,
            key: foldIn(key, 'trial', fold),
          },
          { signal },
        );
        if (signal?.aborted) throw new DwpError('INTERRUPTED', 'fit interrupted', 'run the command again');
        const of = { prior, kernels: test.data, samples: 1, engine, key };
        folds.push([...(await densityValues(of)).logDensity]);
      }
      values.set(family, Float64Array.from(folds.flat()));
    } catch (thrown) {
      if (!(thrown instanceof DwpError && thrown.code === 'INPUT')) throw thrown;
      skipped.push({ family: family.name, reason: thrown.message });
    }
  }
  const best = plainestOfTheBest(values);
  const trials = [...values].map(([{ name }, own]): FamilyTrial => {
    const { mean, standardError } = gain(values.get(best)!, own);
    return { family: name, nats: meanOf(own), behind: mean, standardError };
  });
  return {
    family: best,
    heldOut: values.get(best)!.length,
    folds: splits.length,
    trials: trials.sort((a, b) => b.nats - a.nats),
    skipped,
  };
}

const foldsOf = (kernels: Kernels): number => {
  if (kernels.count >= FEW) return 1;
  return kernelLength(kernels) > LONGEST_QUICK ? FOLDS_OF_LARGE : Math.min(FOLDS, kernels.count);
};

/** Units of work that {@link chooseFamily} reports. */
export const choiceWork = (kernels: Kernels): number => candidatesFor(kernels).length * foldsOf(kernels);

/** The richer family only where it is better by more than chance, kernel by kernel. */
function plainestOfTheBest(values: ReadonlyMap<PriorFamily, Float64Array>): PriorFamily {
  const [first, ...others] = [...values.keys()];
  let best = first;
  for (const family of others) {
    const { mean, standardError } = gain(values.get(family)!, values.get(best)!);
    if (mean > STANDARD_ERRORS * standardError) best = family;
  }
  return best;
}

/** Mean of the differences a − b of the same kernels, and its standard error. */
function gain(a: Float64Array, b: Float64Array): { mean: number; standardError: number } {
  const differences = a.map((x, i) => x - b[i]);
  const mean = meanOf(differences);
  const squares = differences.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  const n = differences.length;
  return { mean, standardError: Math.sqrt(squares / Math.max(1, n - 1) / n) };
}

const meanOf = (x: Float64Array): number => x.reduce((a, b) => a + b, 0) / x.length;

function splitsOf(kernels: Kernels, key: Key): { train: Kernels; test: Kernels }[] {
  const { count } = kernels;
  const order = new RandomStream(key).permutation(count);
  const part = (held: Int32Array) => {
    const isHeld = new Uint8Array(count);
    for (const row of held) isHeld[row] = 1;
    const rest = order.filter((row) => !isHeld[row]).subarray(0, MOST_TRAIN);
    return { test: takeKernels(kernels, held), train: takeKernels(kernels, rest) };
  };
  if (count >= FEW) return [part(order.subarray(0, Math.min(MOST_HELD_OUT, Math.round(HELD_OUT * count))))];
  const folds = foldsOf(kernels);
  return Array.from({ length: folds }, (_, fold) => part(order.filter((_, i) => i % folds === fold)));
}
