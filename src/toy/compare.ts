// Every estimator on every target: fitted from several seeds, and judged beside long chains.
import { type Engine, foldIn, type Key } from '../engine/index.js';
import type { Estimator } from '../estimators/index.js';
import type { Estimate } from '../evaluate/two-sample.js';
import { drawFrom, type Rows } from './draw.js';
import { divergenceBetween } from './entropy.js';
import { type FitOptions, fitSampler } from './fit.js';
import { type Judgement, judge } from './judge.js';
import { logNormaliserOf, type Reference, referenceOf } from './reference.js';
import type { Target } from './target.js';

export interface CompareOptions extends FitOptions {
  seeds: number;
  /** Draws of q and of the reference that are compared. */
  judged: number;
}

export interface MethodRun extends Judgement {
  seed: number;
  /** KL(q ‖ p), nats, where q has a density: exact, or between bounds of E_q log q. */
  kl?: { lower: Estimate; upper: Estimate };
  /** What the objective takes KL(q ‖ p) for, nats. */
  claimedKl?: Estimate;
  stepMilliseconds?: number;
}

export interface MethodResult {
  method: string;
  family: string;
  runs: MethodRun[];
  /** Draws of the first run. */
  rows: Rows;
}

export interface TargetResult {
  target: Target;
  reference: Omit<Reference, 'rows'>;
  logNormaliser: Estimate;
  /** The first is `hmc`: other chains of the same length, which show what the measures can tell apart. */
  methods: MethodResult[];
}

/** Fits and chains of one target. */
export const unitsOf = (estimators: readonly Estimator[], { seeds }: CompareOptions): number =>
  1 + seeds * (1 + estimators.length);

/** @param done called when one of the {@link unitsOf} is finished */
export async function compareOn(
  target: Target,
  estimators: readonly Estimator[],
  options: CompareOptions,
  engine: Engine,
  root: Key,
  { signal, done }: { signal?: AbortSignal; done?(what: string): void } = {},
): Promise<TargetResult> {
  const key = foldIn(root, target.name);
  const seeds = Array.from({ length: options.seeds }, (_, i) => i);
  const { rows: reference, ...chains } = await referenceOf(
    target,
    options.judged,
    engine,
    foldIn(key, 'reference'),
  );
  const logNormaliser = await logNormaliserOf(target, reference, options.judged, engine, key);
  done?.(`${target.name}: reference`);

  const again: MethodResult = { method: 'hmc', family: 'chains', runs: [], rows: reference };
  for (const seed of seeds) {
    const { rows } = await referenceOf(target, options.judged, engine, foldIn(key, 'again', seed));
    again.runs.push({ seed, ...(await judge(target, rows, reference, logNormaliser.value, engine)) });
    done?.(`${target.name}: hmc`);
  }
  const methods = [again];
  for (const estimator of estimators) {
    const runs: MethodRun[] = [];
    let first: Rows | undefined;
    for (const seed of seeds) {
      const own = foldIn(key, estimator.name, seed);
      const fitted = await fitSampler(target, estimator, options, engine, own, { signal });
      const rows = await drawFrom(fitted.q, fitted.parameters, options.judged, engine, foldIn(own, 'judged'));
      const between = await divergenceBetween(
        target,
        fitted.q,
        fitted.parameters,
        engine,
        foldIn(own, 'bounds'),
      );
      first ??= rows;
      runs.push({
        seed,
        ...(between && {
          kl: { lower: plus(between.lower, logNormaliser), upper: plus(between.upper, logNormaliser) },
        }),
        ...(fitted.claimed && { claimedKl: plus(fitted.claimed, logNormaliser) }),
        ...(await judge(target, rows, reference, logNormaliser.value, engine)),
        stepMilliseconds: fitted.stepMilliseconds,
      });
      done?.(`${target.name}: ${estimator.name}`);
    }
    methods.push({ method: estimator.name, family: estimator.family, runs, rows: first! });
  }
  return { target, reference: chains, logNormaliser, methods };
}

const plus = (a: Estimate, b: Estimate): Estimate => ({
  value: a.value + b.value,
  standardError: Math.hypot(a.standardError, b.standardError),
});
