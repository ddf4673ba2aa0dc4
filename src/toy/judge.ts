// How good a fitted q is, beside long chains of the target.
import type { Engine } from '../engine/index.js';
import {
  type Estimate,
  kolmogorovSmirnov,
  meanOf,
  medianDistance,
  moments,
  nearestNeighbourLogDensity,
  relativeDistance,
  squaredMmd,
} from '../evaluate/two-sample.js';
import { logDensities, type Rows } from './draw.js';
import type { Target } from './target.js';

export interface Judgement {
  /** KL(q ‖ p) by distances to neighbours, nats; in the plane only, its bias is too large in many dimensions. */
  klByNeighbours?: Estimate;
  /** Squared maximum mean discrepancy from the reference; may be negative, for it has no bias. */
  squaredMmd: Estimate;
  /** Kolmogorov–Smirnov distance of the marginals: the largest, and their mean. */
  ks: { largest: number; mean: number };
  /** ‖cov q − cov p‖ / ‖cov p‖, Frobenius. */
  covarianceError: number;
  /** Of predictions by one draw, and by an ensemble of 100: nats per held-out example. */
  heldOutNll?: { one: number; ensemble: number };
  /** What a step of empirical Bayes makes of the prior's standard deviation: √(E_q ‖w‖² / d). */
  priorScale?: number;
}

const ENSEMBLE = 100;
const SINGLE = 20;
const NEIGHBOURS_OF = 3_000;

export async function judge(
  target: Target,
  rows: Rows,
  reference: Rows,
  logNormaliser: number,
  engine: Engine,
): Promise<Judgement> {
  const { d } = rows;
  const ks = kolmogorovSmirnov(rows, reference);
  return {
    ...(d === 2 && { klByNeighbours: await neighbourDivergence(target, rows, logNormaliser, engine) }),
    squaredMmd: squaredMmd(rows, reference, medianDistance(reference)),
    ks: { largest: Math.max(...ks), mean: meanOf(ks).value },
    covarianceError: relativeDistance(moments(rows).covariance, moments(reference).covariance),
    ...(target.heldOutNll && {
      heldOutNll: {
        one: meanOf(
          Array.from({ length: SINGLE }, (_, i) =>
            target.heldOutNll!(rows.data.subarray(i * d, (i + 1) * d)),
          ),
        ).value,
        ensemble: target.heldOutNll(rows.data.subarray(0, ENSEMBLE * d)),
      },
      priorScale: Math.sqrt(meanOf(rows.data.map((x) => x * x)).value),
    }),
  };
}

async function neighbourDivergence(
  target: Target,
  rows: Rows,
  logNormaliser: number,
  engine: Engine,
): Promise<Estimate> {
  const few = different(rows, NEIGHBOURS_OF);
  const logQ = nearestNeighbourLogDensity(few);
  const logTarget = await logDensities(target, few, engine);
  return meanOf(logQ.map((value, i) => value - logTarget[i] + logNormaliser));
}

/** The first n rows that differ: chains that refuse a step repeat themselves, and have a neighbour at no distance. */
function different({ data, n, d }: Rows, most: number): Rows {
  const seen = new Set<string>();
  const kept: number[] = [];
  for (let i = 0; i < n && seen.size < most; i++) {
    const row = data.subarray(i * d, (i + 1) * d);
    if (seen.has(`${row}`)) continue;
    seen.add(`${row}`);
    kept.push(...row);
  }
  return { data: Float32Array.from(kept), n: seen.size, d };
}
