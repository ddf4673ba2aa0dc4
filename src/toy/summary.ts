// What a comparison says: means and spreads over seeds, as plain data.
import { mean, standardDeviation } from '../evaluate/summary.js';
import type { MethodResult, MethodRun, TargetResult } from './compare.js';

/** Of one value for each seed; `std` is null for a single one. */
export interface Spread {
  mean: number;
  std: number | null;
  values: number[];
}

export interface MethodSummary {
  method: string;
  /** What q is: mean-field, semi-implicit, implicit; chains for Hamiltonian Monte Carlo. */
  family: string;
  /** KL(q ‖ p), nats: exact, or the middle between its bounds; null where q has no density. */
  kl: Spread | null;
  /** How far apart the bounds of KL are, nats. */
  klWidth: Spread | null;
  /** KL(q ‖ p) by distances to neighbours, nats; null in more than two dimensions. */
  klByNeighbours: Spread | null;
  /** What the objective takes KL for, minus `kl` (or minus `klByNeighbours` where there is no other), nats. */
  bias: Spread | null;
  squaredMmd: Spread;
  /** Of a single seed's squaredMmd, root mean square. */
  squaredMmdStandardError: number;
  ksLargest: Spread;
  ksMean: Spread;
  covarianceError: Spread;
  nllOfOne: Spread | null;
  nllOfEnsemble: Spread | null;
  priorScale: Spread | null;
  stepMilliseconds: Spread | null;
}

export interface TargetSummary {
  name: string;
  summary: string;
  dimensions: number;
  reference: TargetResult['reference'];
  logNormaliser: TargetResult['logNormaliser'];
  methods: (MethodSummary & { runs: MethodRun[] })[];
}

export const summaryOf = ({ target, reference, logNormaliser, methods }: TargetResult): TargetSummary => ({
  name: target.name,
  summary: target.summary,
  dimensions: target.dimensions,
  reference,
  logNormaliser,
  methods: methods.map((result) => ({ ...methodSummary(result), runs: result.runs })),
});

function methodSummary({ method, family, runs }: MethodResult): MethodSummary {
  const middle = ({ kl }: MethodRun) => kl && (kl.lower.value + kl.upper.value) / 2;
  return {
    method,
    family,
    kl: spread(runs, middle),
    klWidth: spread(runs, ({ kl }) => kl && kl.upper.value - kl.lower.value),
    klByNeighbours: spread(runs, (run) => run.klByNeighbours?.value),
    bias: spread(runs, (run) => {
      const truth = middle(run) ?? run.klByNeighbours?.value;
      return run.claimedKl && truth !== undefined ? run.claimedKl.value - truth : undefined;
    }),
    squaredMmd: spread(runs, (run) => run.squaredMmd.value)!,
    squaredMmdStandardError: Math.sqrt(mean(runs.map((run) => run.squaredMmd.standardError ** 2))),
    ksLargest: spread(runs, ({ ks }) => ks.largest)!,
    ksMean: spread(runs, ({ ks }) => ks.mean)!,
    covarianceError: spread(runs, (run) => run.covarianceError)!,
    nllOfOne: spread(runs, (run) => run.heldOutNll?.one),
    nllOfEnsemble: spread(runs, (run) => run.heldOutNll?.ensemble),
    priorScale: spread(runs, (run) => run.priorScale),
    stepMilliseconds: spread(runs, (run) => run.stepMilliseconds),
  };
}

function spread(runs: readonly MethodRun[], of: (run: MethodRun) => number | undefined): Spread | null {
  const values = runs.map(of).filter((value) => value !== undefined);
  if (values.length === 0) return null;
  return { mean: mean(values), std: values.length > 1 ? standardDeviation(values) : null, values };
}

/** Which method's draws are nearest to the chains', on each target. */
export function conclusion({ name, methods: [chains, ...methods] }: TargetSummary): string {
  const sorted = [...methods].sort((a, b) => a.squaredMmd.mean - b.squaredMmd.mean);
  const nearest = sorted[0];
  if (!nearest) return `${name}: chains only`;
  const alike = sorted.filter(
    ({ squaredMmd, squaredMmdStandardError, runs }) =>
      squaredMmd.mean < (3 * squaredMmdStandardError) / Math.sqrt(runs.length),
  );
  return alike.length > 0
    ? `${name}: not to be told from the chains by MMD: ${alike.map(({ method }) => method).join(', ')}`
    : `${name}: nearest to the chains is ${nearest.method}, MMD² ${nearest.squaredMmd.mean.toExponential(1)} (other chains: ${chains.squaredMmd.mean.toExponential(1)})`;
}
