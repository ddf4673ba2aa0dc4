// Learning rates by part: the posterior's parameters φ, those of s(ζ|w), ξ, and those of r(z|w), ψ.
import { type Layout, sizeOf } from '../engine/index.js';
import { usageError } from '../errors.js';
import { type KeyParts, keyParts } from '../network/index.js';
import { isAuxiliaryPosterior } from '../posteriors/index.js';

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
 * A layer whose outputs are sums of more terms n has the rate · NARROW / n. Adam moves each weight by about the rate,
 * whatever the gradient, and so such a sum by up to n times as much (Yang & Hu 2021, section 5): with 6,400 terms at the
 * rate that is right for LeNet's 800 a network never gets away from a uniform guess.
 */
const NARROW = 1024;

/** Parameters with a learning rate of their own. */
interface RatedPart {
  rate?: number;
  has(key: KeyParts): boolean;
  /** Why the rate has no effect where there are none. */
  missing?: { message: string; hint: string };
}

/**
 * What each element of a vector of all parameters multiplies `learningRate` by, [P]; undefined where that is 1
 * everywhere. The rates keep their ratio while they fall.
 * @param fanIn of layers before the classifier: of how many terms each of their outputs is a sum
 * @throws DwpError USAGE when a rate is given for parameters that are not there
 */
export function rateFactors(
  layout: Layout,
  { learningRate, encoderLearningRate, auxiliaryLearningRate, priorLearningRate }: LearningRates,
  fanIn: Readonly<Record<string, number>> = {},
): Float32Array | undefined {
  const given: RatedPart[] = [
    {
      rate: encoderLearningRate,
      has: ({ group }: KeyParts) => group === 'auxiliary',
      missing: ENCODER_MISSING,
    },
    {
      rate: auxiliaryLearningRate,
      has: ({ group, part }: KeyParts) => !group && isAuxiliaryPosterior(part),
      missing: AUXILIARY_MISSING,
    },
    {
      rate: priorLearningRate,
      has: ({ group }: KeyParts) => group === 'adapted',
      missing: ADAPTED_MISSING,
    },
    { rate: CHAIN_RATE, has: ({ group }: KeyParts) => group === 'chain' },
    ...Object.entries(fanIn)
      .filter(([, inputs]) => inputs > NARROW)
      .map(([name, inputs]) => ({
        rate: (learningRate * NARROW) / inputs,
        has: ({ layer, group, part }: KeyParts) =>
          layer === name && !group && (part === 'kernel' || part === 'mean'),
      })),
  ].filter(({ rate }) => rate !== undefined);
  const there = given.filter(({ has }) => layout.some(({ name }) => has(keyParts(name))));
  for (const { missing } of given.filter((part) => !there.includes(part)))
    if (missing) throw usageError(missing.message, missing.hint);
  if (there.every(({ rate }) => rate === learningRate)) return undefined;
  const factors = new Float32Array(layout.reduce((sum, { shape }) => sum + sizeOf(shape), 0));
  let start = 0;
  for (const { name, shape } of layout) {
    const rate = given.find(({ has }) => has(keyParts(name)))?.rate ?? learningRate;
    factors.fill(rate / learningRate, start, start + sizeOf(shape));
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
