// Way 3 (UIVI, Titsias & Ruiz 2019): the gradient of E_q log q(w) of a semi-implicit q without a bound, by Markov chains
// over ζ given w. It has no value: what is reported is (2) or (5). Equation numbers are those of docs/math.md.
import type { LatentDensity } from '../distributions/latent.js';
import { spec, stopGradient, tf } from '../engine/index.js';
import { chainsAt, hmc } from '../mcmc/index.js';
import { isAuxiliaryPosterior, type SemiImplicitPosterior, type Tensors } from '../posteriors/index.js';
import { upperBound } from './hierarchical.js';
import type { BoundSettings, ChainSettings } from './settings.js';

/** log ε before the first step of training; ζ has about unit scale. */
export const INITIAL_LOG_STEP = Math.log(0.5);

/** Standard normals for chains of g latents in l dimensions. */
export const chainNoise = ({ away, kept }: ChainSettings, g: number, l: number) => ({
  chainMomentum: spec([away + kept, g, l]),
  chainAcceptance: spec([away + kept, 2, g]),
  chainLength: spec([away + kept, 2, g]),
});

export type ChainNoise = Record<keyof ReturnType<typeof chainNoise>, tf.Tensor>;
/** Noise of chains, and that of the draw of w that they start from. */
export type UnbiasedNoise = ChainNoise & { kernels: tf.Tensor; mixing: tf.Tensor; proposed?: tf.Tensor };

/**
 * (41) ∇ log q(w) = E_{q(ζ|w)} ∇_w log q(w|ζ), estimated by Hamiltonian Monte Carlo that starts at the ζ₀ which drew w:
 * an exact draw of q(ζ|w), so that the chains are in equilibrium from the beginning.
 * @param density without gradients to its parameters
 * @param start w [g, D] and its ζ₀ [g, l], without gradients
 * @param logStep of the leapfrog, a scalar
 * @returns `score` [g, D]; `acceptance` of each chain, [g]
 */
export function chainScore(
  density: LatentDensity,
  { w, latent: start }: { w: tf.Tensor; latent: tf.Tensor },
  { chainMomentum, chainAcceptance, chainLength }: ChainNoise,
  logStep: tf.Tensor,
  { away, kept, leapfrog }: ChainSettings,
): { score: tf.Tensor; acceptance: tf.Tensor } {
  const target = (latent: tf.Tensor) => tf.add(density.logLikelihood(w, latent), density.logLatent(latent));
  const scoreGiven = (latent: tf.Tensor) => tf.grad((w) => tf.sum(density.logLikelihood(w, latent)))(w);
  // Trajectories of one length may close, or lead to −ζ and back: steps are uniform in (0, ε), and the cosines of how far
  // a chain has turned are 0 on average. exp(−χ²/2) of two degrees of freedom is uniform.
  const lengths = tf.exp(tf.mul(tf.sum(tf.square(chainLength), 1, true), -0.5)); // [t, 1, g]
  const steps = tf.unstack(tf.mul(tf.exp(logStep), tf.transpose(lengths, [0, 2, 1]))); // t of [g, 1]
  const acceptance = tf.unstack(chainAcceptance);
  let chains = chainsAt(target, start);
  let score: tf.Tensor = tf.zerosLike(w);
  let accepted: tf.Tensor = tf.zeros([w.shape[0]]);
  for (const [i, momentum] of tf.unstack(chainMomentum).entries()) {
    const noise = { momentum, acceptance: acceptance[i] };
    const moved = hmc(target, chains, noise, steps[i], leapfrog);
    chains = moved.state;
    accepted = tf.add(accepted, tf.div(moved.acceptance, away + kept));
    if (i >= away) score = tf.add(score, tf.div(scoreGiven(chains.position), kept));
  }
  return { score, acceptance: accepted };
}

/**
 * `value`, with the gradients of E_q log q(w): (∂w/∂φ)ᵀ `score` with respect to whatever w was drawn with. The density
 * itself has none, because E_q ∂/∂φ log q(w) at a fixed w is 0.
 * @param value [g]; its own gradients are kept
 * @param w [g, D], differentiable
 */
export const withScore = (value: tf.Tensor, w: tf.Tensor, score: tf.Tensor): tf.Tensor =>
  tf.add(value, tf.sum(tf.mul(tf.sub(w, stopGradient(w)), stopGradient(score)), -1));

/**
 * Nothing, with the gradient wanted − acceptance with respect to log ε: descent then is the stochastic approximation
 * (38), by the same optimiser and with the same checkpoints as everything else that is learned.
 */
export const stepSizeTerm = (logStep: tf.Tensor, acceptance: tf.Tensor, wanted: number): tf.Tensor =>
  tf.mul(tf.sub(logStep, stopGradient(logStep)), stopGradient(tf.sub(wanted, tf.mean(acceptance))));

export interface UnbiasedSettings extends Pick<BoundSettings, 'gradients'> {
  chain: ChainSettings;
  logStep: tf.Tensor;
}

/**
 * E_q log q(w) of g groups: for its value the bound (2) or (5), from which only s(ζ|w) learns; for the gradient of
 * everything else (41), and (38) for the step size.
 * @param q the posterior of given parameters
 * @param w [g, D], drawn by q of `parameters` with `noise`
 * @param logStep of the chains, a scalar
 * @returns `logQ` [g], nats; `acceptance`, mean of the chains
 */
export function unbiasedLogQ(
  q: (parameters: Tensors) => SemiImplicitPosterior,
  parameters: Tensors,
  w: tf.Tensor,
  noise: UnbiasedNoise,
  { gradients, chain, logStep }: UnbiasedSettings,
): { logQ: tf.Tensor; acceptance: tf.Tensor } {
  const fixed = Object.fromEntries(
    Object.entries(parameters).map(([name, x]) => [name, stopGradient(x)] as const),
  );
  const ofAuxiliary = Object.entries(parameters).filter(([name]) => isAuxiliaryPosterior(name));
  const latentOf = (q: Pick<SemiImplicitPosterior, 'draw'>) =>
    stopGradient(q.draw({ kernels: noise.kernels, latent: noise.mixing }).latent);
  const fixedW = stopGradient(w);

  const moving = q(fixed).standard ?? q(fixed); // a standard normal ζ is easier to walk in
  const { score, acceptance } = chainScore(
    moving.density,
    { w: fixedW, latent: latentOf(moving) },
    noise,
    stopGradient(logStep),
    chain,
  );
  const reported = q({ ...fixed, ...Object.fromEntries(ofAuxiliary) });
  const s = reported.density.encode(fixedW);
  const value = upperBound(reported.density, fixedW, latentOf(reported), noise.proposed, { s, gradients });
  return {
    logQ: tf.add(withScore(value, w, score), stepSizeTerm(logStep, acceptance, chain.acceptance)),
    acceptance: tf.mean(acceptance),
  };
}
