// The columns of a comparison's table, for the terminal and for the page.
import type { MethodSummary, Spread, TargetSummary } from './summary.js';

export type Column = readonly [title: string, cell: (method: MethodSummary) => string];

/** Bounds of KL that are further apart than this, nats, are shown in place of their middle. */
const WIDE = 0.02;

export function columnsOf({ dimensions }: TargetSummary): Column[] {
  const inThePlane: Column[] = [['KL by neighbours', ({ klByNeighbours }) => cellOf(klByNeighbours, 2)]];
  const inPrediction: Column[] = [
    ['NLL of 1', ({ nllOfOne }) => cellOf(nllOfOne, 4)],
    ['of 100', ({ nllOfEnsemble }) => cellOf(nllOfEnsemble, 4)],
    ['prior std', ({ priorScale }) => cellOf(priorScale, 3)],
  ];
  return [
    ['KL', klCell],
    ['objective − KL', ({ bias }) => cellOf(bias, 3)],
    ...(dimensions === 2 ? inThePlane : []),
    ['MMD² · 10³', ({ squaredMmd }) => cellOf(squaredMmd, 2, 1e3)],
    ['SE', ({ squaredMmdStandardError }) => (1e3 * squaredMmdStandardError).toFixed(2)],
    ['largest KS', ({ ksLargest }) => cellOf(ksLargest, 3)],
    ['cov. error', ({ covarianceError }) => cellOf(covarianceError, 2)],
    ...(dimensions === 2 ? [] : inPrediction),
    ['ms/step', ({ stepMilliseconds }) => (stepMilliseconds ? stepMilliseconds.mean.toFixed(1) : '–')],
  ];
}

/** KL, or from where to where it may lie. */
function klCell({ kl, klWidth }: MethodSummary): string {
  if (!kl || !klWidth || klWidth.mean <= WIDE) return cellOf(kl, 3);
  return [-1, 1].map((side) => (kl.mean + (side * klWidth.mean) / 2).toFixed(2)).join(' … ');
}

/** How the chains went that all are compared with. */
export const referenceLine = ({ reference, logNormaliser, dimensions }: TargetSummary): string =>
  `${reference.chains} chains: R̂ ${reference.rHat.toFixed(3)}, effective sample size ${Math.round(reference.effectiveSampleSize)}` +
  (dimensions > 2
    ? `; log ∫ p̃ = ${logNormaliser.value.toFixed(2)} ± ${logNormaliser.standardError.toFixed(2)}`
    : '');

const cellOf = (spread: Spread | null, digits: number, scale = 1): string =>
  spread === null
    ? '–'
    : `${(scale * spread.mean).toFixed(digits)}${spread.std === null ? '' : ` ± ${(scale * spread.std).toFixed(digits)}`}`;
