// What dwp bounds says: tables of the bounds by K, and sentences that answer the question.
import type { Estimate, Interval, NetworkBounds, Term } from '../train/network-bounds.js';
import { table } from './table.js';

const SYMBOLS = { logPrior: 'E_q log p(w)', logPosterior: 'E_q log q(w)' } as const;

/** With as many decimals as the number beside it deserves. */
const rounded = (x: number, digits: number): string => {
  if (!Number.isFinite(x)) return x > 0 ? '∞' : '−∞';
  const text = Math.abs(x) >= 1e7 ? x.toExponential(1) : x.toFixed(digits);
  return text.replace(/^-(?=[0.]+$)/, '').replace('-', '−');
};

const written = ({ mean, standardError }: Estimate): string => {
  const digits = Math.abs(mean) < 100 ? 1 : 0;
  return standardError > 0 && Number.isFinite(mean)
    ? `${rounded(mean, digits)} ± ${rounded(standardError, digits)}`
    : rounded(mean, digits);
};

const between = ({ lower, upper }: Interval) => `${written(lower)} … ${written(upper)}`;

const cell = (term: Term, k: number): string =>
  term.exact ? `${written(term.at[k].lower)}${k === 0 ? ' (exact)' : ''}` : between(term.at[k]);

/** A block of rows for each layer, and one for all together: one row where all is known exactly and no K changes it. */
function boundsTable({ layers, total }: NetworkBounds): string {
  const head = ['layer', 'K', SYMBOLS.logPrior, SYMBOLS.logPosterior, 'KL(q‖p)'];
  const block = (
    name: string,
    {
      logPrior,
      logPosterior,
      divergence,
    }: Pick<NetworkBounds['total'], 'logPrior' | 'logPosterior' | 'divergence'>,
  ) =>
    (logPrior.exact && logPosterior.exact ? divergence.slice(0, 1) : divergence).map((kl, k) => [
      k === 0 ? name : '',
      logPrior.exact && logPosterior.exact ? 'any' : kl.samples,
      cell(logPrior, k) + (logPrior.at[k].settled ? '' : ' *'),
      cell(logPosterior, k),
      logPrior.exact && logPosterior.exact ? written(kl.lower) : between(kl),
    ]);
  return table(head, [
    ...layers.flatMap((layer) => block(`${layer.layer} (${layer.kernels} of ${layer.size})`, layer)),
    ...(layers.length > 1 ? block('all', total) : []),
  ]);
}

/** Which inner gap is the largest, in one sentence. */
export function gapSentence({ largestGap }: Pick<NetworkBounds, 'largestGap'>): string {
  if (!largestGap) return 'Nothing is lost inside the bound: every expectation is known exactly.';
  const { layer, term, samples, gap } = largestGap;
  const side = term === 'logPrior' ? 'below' : 'above';
  return `The largest inner gap is in ${layer}: as trained (K = ${samples}), its ${term === 'logPrior' ? 'prior' : 'entropy'} term is ${written(gap.lower)} to ${written(gap.upper)} nats ${side} ${SYMBOLS[term]}.`;
}

/** KL and evidence bound at the largest K. */
export function intervalSentence({ total }: Pick<NetworkBounds, 'total'>): string {
  const kl = total.divergence.at(-1)!;
  const elbo = total.elbo.at(-1)!;
  return total.logPrior.exact && total.logPosterior.exact
    ? `KL(q‖p) is ${written(kl.lower)} nats, and the evidence bound at T = 1 ${written(elbo.lower)}.`
    : `With K = ${kl.samples}, KL(q‖p) is between ${written(kl.lower)} and ${written(kl.upper)} nats, and the evidence bound at T = 1 between ${written(elbo.lower)} and ${written(elbo.upper)}; as trained it comes to ${written(total.trained)}.`;
}

export function boundsText(result: NetworkBounds): string {
  const marked = [...result.layers, result.total].some(({ logPrior }) =>
    logPrior.at.some(({ settled }) => !settled),
  );
  return [
    boundsTable(result),
    [
      `± is the standard error over ${result.draws} draws of the weights; nats. Left and right of … the average is a bound from below and above.`,
      ...(marked
        ? [
            '* One kernel makes up much of this gap: such an upper bound tends to come out low. Take a larger K, or more draws.',
          ]
        : []),
    ].join('\n'),
    [
      `Expected log-likelihood ${written(result.expectedLogLikelihood)} nats.`,
      intervalSentence(result),
      gapSentence(result),
    ].join('\n'),
  ].join('\n\n');
}
