// What dwp check-prior found, as numbers for JSON, as rows of a table, and as sentences.
import type { Difference, Halves, SampleCheck } from '../evaluate/sample-check.js';
import type { Guesses } from '../evaluate/sample-classifiers.js';
import { quantiles } from '../evaluate/sample-statistics.js';

const LEVELS = { '1%': 0.01, '5%': 0.05, '25%': 0.25, '50%': 0.5, '75%': 0.75, '95%': 0.95, '99%': 0.99 };
type Level = keyof typeof LEVELS;
type Quantiles = Record<Level, { samples: number; kernels: number }>;

export interface CheckSummary {
  /** Rows on either side. */
  n: number;
  /** Kolmogorov–Smirnov distances of distributions. */
  norm: Difference & { quantiles: Quantiles };
  lagOne?: Difference & { quantiles: Quantiles };
  /** Octaves of radial power. */
  spectrum: Halves & { samples: number[]; kernels: number[] };
  /** Relative, Frobenius. */
  covariance: Halves;
  mmd2: Difference;
  classifiers: { logistic: Guesses; neighbours: Guesses };
  nearestTrain?: { quantiles: Quantiles; nearer: number; standardError: number };
}

function quantilesOf({ samples, kernels }: { samples: number[]; kernels: number[] }): Quantiles {
  const levels = Object.values(LEVELS);
  const [a, b] = [samples, kernels].map((values) => quantiles(Float64Array.from(values), levels));
  return Object.fromEntries(
    Object.keys(LEVELS).map((level, i) => [level, { samples: a[i], kernels: b[i] }]),
  ) as Quantiles;
}

/** A check without its long lists. */
export function summaryOf(check: SampleCheck): CheckSummary {
  const { n, norm, lagOne, spectrum, covariance, mmd, classifiers, nearest } = check;
  const short = (comparison: NonNullable<SampleCheck['lagOne']>) => ({
    value: comparison.value,
    pValue: comparison.pValue,
    quantiles: quantilesOf(comparison),
  });
  const { low: _, high: __, ...power } = spectrum;
  return {
    n,
    norm: short(norm),
    ...(lagOne && { lagOne: short(lagOne) }),
    spectrum: power,
    covariance: { value: covariance.value, halves: covariance.halves, pValue: covariance.pValue },
    mmd2: { value: mmd.value, pValue: mmd.pValue },
    classifiers,
    ...(nearest && {
      nearestTrain: {
        quantiles: quantilesOf(nearest),
        nearer: nearest.nearer,
        standardError: nearest.standardError,
      },
    }),
  };
}

const percent = (x: number, digits = 1) => `${(100 * x).toFixed(digits)} %`;
const p = (x: number) => (x < 0.001 ? x.toExponential(0) : x.toFixed(3));

/** Name, samples, kernels, difference, what it would be if they were alike, p. */
export function checkRows(s: CheckSummary): string[][] {
  const at = (quantiles: Quantiles, level: Level) => [
    quantiles[level].samples.toFixed(3),
    quantiles[level].kernels.toFixed(3),
  ];
  const levels = (name: string, quantiles: Quantiles, list: readonly Level[]) =>
    list.map((level) => [`${name}, ${level}`, ...at(quantiles, level), '', '', '']);
  const halves = (name: string, test: Halves, show: (x: number) => string) => [
    ...[
      name,
      '',
      '',
      show(test.value),
      `${show(test.halves.mean)} ± ${show(test.halves.std)}`,
      p(test.pValue),
    ],
  ];
  const guesses = (name: string, { accuracy, standardError }: Guesses) => [
    ...[name, '', '', percent(accuracy), `50.0 ± ${percent(standardError)}`, ''],
  ];
  const { norm, lagOne, nearestTrain } = s;
  return [
    ...levels('norm', norm.quantiles, ['5%', '50%', '95%', '99%']),
    ['norm: Kolmogorov–Smirnov', '', '', norm.value.toFixed(3), '', p(norm.pValue)],
    ...(lagOne
      ? [
          ...levels('correlation of neighbours', lagOne.quantiles, ['50%']),
          ['the same: Kolmogorov–Smirnov', '', '', lagOne.value.toFixed(3), '', p(lagOne.pValue)],
        ]
      : []),
    halves('power spectrum, octaves', s.spectrum, (x) => x.toFixed(3)),
    halves('covariance of pixels', s.covariance, (x) => percent(x)),
    ['maximum mean discrepancy²', '', '', s.mmd2.value.toExponential(1), '', p(s.mmd2.pValue)],
    guesses('told apart by a logistic regression', s.classifiers.logistic),
    guesses('told apart by nearest neighbours', s.classifiers.neighbours),
    ...(nearestTrain
      ? [
          ...levels('distance to nearest train kernel', nearestTrain.quantiles, ['5%', '50%']),
          [
            ...['nearer than the nearest 5 % of kernels', '', ''],
            percent(nearestTrain.nearer),
            `5.0 ± ${percent(nearestTrain.standardError)}`,
            '',
          ],
        ]
      : []),
  ];
}

/** A difference counts from here on; of classifiers, so many standard errors. */
const LEVEL = 0.01;
const ERRORS = 2.6;

const seenByChance = ({ accuracy, standardError }: Guesses) => accuracy < 0.5 + ERRORS * standardError;

/** The answer: whether samples can be told from kernels, and by what. */
export function checkSentence(s: CheckSummary, seen: 'no' | 'yes' | 'unknown'): string {
  const kernels = { no: 'held-out kernels', yes: 'kernels that it was fitted on', unknown: 'these kernels' }[
    seen
  ];
  const tests: [string, number | undefined][] = [
    ['norms', s.norm.pValue],
    ['correlation of neighbours', s.lagOne?.pValue],
    ['spectrum', s.spectrum.pValue],
    ['covariance', s.covariance.pValue],
    ['maximum mean discrepancy', s.mmd2.pValue],
  ];
  const found = [
    ...tests.filter(([, x]) => x !== undefined && x <= LEVEL).map(([name, x]) => `${name} (p = ${p(x!)})`),
    ...Object.entries({
      'logistic regression': s.classifiers.logistic,
      'nearest neighbours': s.classifiers.neighbours,
    })
      .filter(([, guesses]) => !seenByChance(guesses))
      .map(([name, { accuracy }]) => `${name} (${percent(accuracy)} right)`),
  ];
  const count = tests.filter(([, x]) => x !== undefined).length + 2;
  if (found.length === 0)
    return `No: none of ${count} tests tells ${s.n} samples from ${s.n} ${kernels} at the level of 1 %.`;
  return `Yes: samples can be told from ${kernels}, by ${found.join(', ')}; by ${found.length} of ${count} tests at the level of 1 %.`;
}

export function memorySentence({ nearestTrain }: CheckSummary): string[] {
  if (!nearestTrain) return [];
  const { nearer, standardError } = nearestTrain;
  const few = nearer <= 0.05 + 3 * standardError;
  return [
    `${few ? 'No sign of memorising' : 'Signs of memorising'}: ${percent(nearer)} of the samples are as near to a train kernel as the nearest 5 % of held-out kernels (5.0 ± ${percent(standardError)} if alike).`,
  ];
}
