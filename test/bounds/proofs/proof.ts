// A proof takes the estimators of the bounds as they are, or as a mutation has left them, and fails unless they are
// right. Whatever a proof compares with is its own: fixtures are never mutated.
import type * as elbo from '../../../src/bounds/elbo.js';
import type * as hierarchical from '../../../src/bounds/hierarchical.js';
import type * as priorTerm from '../../../src/bounds/prior-term.js';
import type * as unbiased from '../../../src/bounds/unbiased.js';
import type * as normal from '../../../src/distributions/normal.js';
import { type Engine, f32, type NdArray } from '../../../src/engine/index.js';
import type * as importance from '../../../src/evaluate/importance.js';
import type * as posteriors from '../../../src/posteriors/index.js';
import type * as priors from '../../../src/priors/index.js';
import type * as latent from '../../../src/priors/latent/index.js';
import type * as fitting from '../../../src/train/fit-prior.js';
import type * as training from '../../../src/train/train-network.js';

/** What is proved. */
export type Subject = Pick<typeof hierarchical, 'lowerBound' | 'upperBound' | 'proposalOf'> &
  Pick<typeof priorTerm, 'expectedLogDensity' | 'priorNoise'> &
  Pick<typeof elbo, 'boundTerms' | 'boundNoise'> &
  Pick<typeof training, 'trainNetwork'> &
  Pick<typeof normal, 'klToStandard'> &
  Pick<typeof posteriors, 'posteriors'> &
  Pick<typeof priors, 'families' | 'isotropicNormal'> &
  Pick<typeof unbiased, 'unbiasedLogQ' | 'chainNoise'> &
  Pick<typeof latent, 'latentPriors'> &
  Pick<typeof fitting, 'fitPrior' | 'defaultFit'> &
  Pick<typeof importance, 'byTangents' | 'fromBelow'>;

export interface Proof {
  name: string;
  /** @throws AssertionError when it does not hold */
  check(subject: Subject, engine: Engine): Promise<void>;
}

const FILES = [
  'bounds/hierarchical',
  'bounds/prior-term',
  'bounds/elbo',
  'train/train-network',
  'distributions/normal',
  'posteriors/index',
  'priors/index',
  'bounds/unbiased',
  'priors/latent/index',
  'train/fit-prior',
  'evaluate/importance',
];
const SRC = new URL('../../../src/', import.meta.url).pathname;

/** @param mutant name of a mutation: the same modules with that change (see mutate.ts) */
export async function subject(mutant?: string): Promise<Subject> {
  const query = mutant === undefined ? '' : `?mutant=${mutant}`;
  const modules = await Promise.all(FILES.map((file) => import(`${SRC}${file}.ts${query}`)));
  return Object.assign({}, ...modules) as Subject;
}

/**
 * 2m points [2m][m] of which the mean of any quadratic function is its expectation under N(0, I): ±√m on each axis.
 */
export const quadraticPoints = (m: number): Float32Array[] =>
  Array.from({ length: 2 * m }, (_, i) => {
    const point = new Float32Array(m);
    point[i >> 1] = (i % 2 === 0 ? 1 : -1) * Math.sqrt(m);
    return point;
  });

/** Every row of x [n, d] `times` times in a row, [n · times, d]. */
export function repeatRows({ shape: [n, d], data }: NdArray, times: number): NdArray {
  const out = f32([n * times, d]);
  for (let i = 0; i < n * times; i++) {
    const from = Math.floor(i / times) * d;
    out.data.set(data.subarray(from, from + d), i * d);
  }
  return out;
}

/** `points` over and over, [n · points.length, m]. */
export const repeatPoints = (points: readonly Float32Array[], n: number): NdArray =>
  f32(
    [n * points.length, points[0].length],
    Float32Array.from(Array.from({ length: n }, () => points.map((point) => [...point])).flat(2)),
  );

/** Means of `size` values after another. */
export const meansOf = (values: ArrayLike<number>, size: number): number[] =>
  Array.from({ length: values.length / size }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += values[i * size + j];
    return sum / size;
  });

/** Largest |a − b| / max(1, |b|). */
export const largestError = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]) / Math.max(1, Math.abs(b[i]))));
