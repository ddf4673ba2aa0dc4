// Way 3: the gradient of E_q log q by Markov chains over ζ given w, which begin at the ζ that w was drawn with (41),
// unbiased implicit variational inference (Titsias & Ruiz 2019). Its value is (2), from which only s(ζ|w) learns.
import { upperBound } from '../bounds/hierarchical.js';
import { CHAIN } from '../bounds/settings.js';
import { chainNoise, chainScore, INITIAL_LOG_STEP, stepSizeTerm, withScore } from '../bounds/unbiased.js';
import { f32, stopGradient, tf } from '../engine/index.js';
import type { Tensors } from '../priors/index.js';
import { divergence, type Estimator } from './estimator.js';

export const uivi: Estimator = {
  name: 'uivi',
  summary: 'way 3: gradients by Hamiltonian Monte Carlo of ζ given w (Titsias & Ruiz 2019)',
  family: 'semi-implicit',
  valued: true,
  auxiliary: () => ({ logStep: f32([], Float32Array.of(INITIAL_LOG_STEP)) }),
  noise: (q, n) => (q.density.kind === 'latent' ? chainNoise(CHAIN, n, q.density.latentSize) : {}),
  objective({ q, logTarget }, { q: parameters, auxiliary: { logStep } }, { w, latent }, { noise }) {
    if (q.density.kind !== 'latent' || !latent) throw new TypeError(`${q.family} has no ζ`);
    const still: Tensors = Object.fromEntries(
      Object.entries(parameters).map(([name, x]) => [name, stopGradient(x)]),
    );
    const ofAuxiliary = q.density.encoder.map((name) => [name, parameters[name]] as const);
    const [fixedW, start] = [stopGradient(w), stopGradient(latent)];
    const { chainMomentum, chainAcceptance, chainLength } = noise;
    const { score, acceptance } = chainScore(
      q.density.of(still),
      { w: fixedW, latent: start },
      { chainMomentum, chainAcceptance, chainLength },
      stopGradient(logStep),
      CHAIN,
    );
    const bounded = q.density.of({ ...still, ...Object.fromEntries(ofAuxiliary) });
    const logQ = upperBound(bounded, fixedW, start, undefined);
    const value = divergence(withScore(logQ, w, score), w, logTarget);
    return {
      descend: tf.add(value, stepSizeTerm(logStep, acceptance, CHAIN.acceptance)) as tf.Scalar,
      value,
    };
  },
};
