// Learning rates by part: the posterior's parameters φ, those of s(ζ|w), ξ, and those of r(z|w), ψ.
import { ADAPTED, AUXILIARY, CHAINS } from '../bounds/elbo.js';
import { type Layout, sizeOf } from '../engine/index.js';
import { usageError } from '../errors.js';
import { AUXILIARY_POSTERIOR } from '../posteriors/index.js';

export interface LearningRates {
  /** Of everything that has no rate of its own. */
  learningRate: number;
  /** ψ: what is trained of r(z|w). */
  encoderLearningRate?: number;
  /** ξ: s(ζ|w) of a semi-implicit posterior. */
  auxiliaryLearningRate?: number;
  /** What is learned of the priors. */
  priorLearningRate?: number;
}

/** Of log step sizes of chains, whatever the others are: the acceptance is right after some tens of steps. */
const CHAIN_RATE = 0.03;

/**
 * What each element of a vector of all parameters multiplies `learningRate` by, [P]; undefined where that is 1
 * everywhere. The rates keep their ratio while they fall.
 * @throws DwpError USAGE when a rate is given for parameters that are not there
 */
export function rateFactors(
  layout: Layout,
  { learningRate, encoderLearningRate, auxiliaryLearningRate, priorLearningRate }: LearningRates,
): Float32Array | undefined {
  const parts: { rate?: number; prefix: string; missing?: { message: string; hint: string } }[] = [
    { rate: encoderLearningRate, prefix: `${AUXILIARY.name}.`, missing: ENCODER_MISSING },
    { rate: auxiliaryLearningRate, prefix: AUXILIARY_POSTERIOR, missing: AUXILIARY_MISSING },
    { rate: priorLearningRate, prefix: `${ADAPTED.name}.`, missing: ADAPTED_MISSING },
    { rate: CHAIN_RATE, prefix: `${CHAINS.name}.` },
  ].filter(({ rate }) => rate !== undefined);
  const belongs = (name: string, prefix: string) => name.startsWith(prefix, name.indexOf('.') + 1); // `layer.prefix…`
  const there = parts.filter(({ prefix }) => layout.some(({ name }) => belongs(name, prefix)));
  for (const { missing } of parts.filter((part) => !there.includes(part)))
    if (missing) throw usageError(missing.message, missing.hint);
  if (there.every(({ rate }) => rate === learningRate)) return undefined;
  const factors = new Float32Array(layout.reduce((sum, { shape }) => sum + sizeOf(shape), 0));
  let start = 0;
  for (const { name, shape } of layout) {
    const own = parts.find(({ prefix }) => belongs(name, prefix))?.rate ?? learningRate;
    factors.fill(own / learningRate, start, start + sizeOf(shape));
    start += sizeOf(shape);
  }
  return factors;
}

const ENCODER_MISSING = {
  message: '--encoder-learning-rate has no effect: no encoder is trained',
  hint: 'use it with a vae prior and --encoder trainable or local',
};
const AUXILIARY_MISSING = {
  message: '--auxiliary-learning-rate has no effect: the posterior has no auxiliary network',
  hint: 'use it with --posterior semi-implicit',
};
const ADAPTED_MISSING = {
  message: '--prior-learning-rate has no effect: no part of a prior is learned',
  hint: 'use it with --adapt-prior or --mix-priors learned',
};
