// Deliberate errors in the estimators of the bounds, each of which some proof must see. `from` stands exactly once in
// its file; mutate.ts loads the module with `to` in its place beside the true one.
export interface Mutation {
  /** Equation of docs/math.md that it falsifies. */
  equation: number;
  what: string;
  /** Proofs that must fail (proofs/index.ts); others may. */
  seenBy: readonly string[];
  /** Below src/. */
  file: string;
  from: string;
  to: string;
}

const HIERARCHICAL = 'bounds/hierarchical.ts';
const UNBIASED = 'bounds/unbiased.ts';
const HMC = 'mcmc/hmc.ts';
const ELBO = 'bounds/elbo.ts';
const LATENT = 'distributions/latent.ts';
const NORMAL = 'distributions/normal.ts';
const FACTORS = 'posteriors/factors.ts';
const TRAINING = 'train/train-network.ts';

/** Several errors in one place: what, the proofs that see it, and the text instead. */
const mutationsOf = (
  equation: number,
  file: string,
  from: string,
  variants: readonly (readonly [what: string, seenBy: string, to: string])[],
): Mutation[] =>
  variants.map(([what, seenBy, to]) => ({ equation, what, seenBy: seenBy.split(' '), file, from, to }));

export const mutations: readonly Mutation[] = [
  ...mutationsOf(
    1,
    LATENT,
    'tf.sub(tf.add(density.logLikelihood(w, z), density.logLatent(z)), logDensity(z, r))',
    [
      [
        'log r with the wrong sign',
        'L1 L2 L4 N2',
        'tf.add(tf.add(density.logLikelihood(w, z), density.logLatent(z)), logDensity(z, r))',
      ],
      ['log r forgotten', 'L1 L2 L4 N2', 'tf.add(density.logLikelihood(w, z), density.logLatent(z))'],
      ['log p(z) forgotten', 'L1 L2 L4 N2', 'tf.sub(density.logLikelihood(w, z), logDensity(z, r))'],
      ['log p(w|z) forgotten', 'L1 L2 L4 N2', 'tf.sub(density.logLatent(z), logDensity(z, r))'],
    ],
  ),
  ...mutationsOf(1, HIERARCHICAL, 'const z = reparameterise(r, noise);', [
    ["z at r's mean, not drawn", 'L2 L4 N2', 'const z = reparameterise(r, tf.zerosLike(noise));'],
  ]),
  ...mutationsOf(2, HIERARCHICAL, 'const own = logImportanceWeight(density, w, z0, s);', [
    [
      'log q(ζ) forgotten',
      'U1 U2 N1',
      'const own = tf.sub(logImportanceWeight(density, w, z0, s), density.logLatent(z0));',
    ],
    [
      'log s forgotten',
      'U1 U2 N1',
      'const own = tf.add(density.logLikelihood(w, z0), density.logLatent(z0));',
    ],
    [
      'log s with the wrong sign',
      'U1 U2 N1',
      'const own = tf.sub(tf.mul(tf.add(density.logLikelihood(w, z0), density.logLatent(z0)), 2), logImportanceWeight(density, w, z0, s));',
    ],
    [
      "ζ₀ at s's mean, not the ζ that drew w",
      'U2',
      'const own = logImportanceWeight(density, w, tf.add(s.mean, tf.zerosLike(z0)), s);',
    ],
  ]),
  ...mutationsOf(3, ELBO, 'entropyTerm = tf.add(entropyTerm, terms.entropy);', [
    ['log q with the wrong sign', 'N1 N2', 'entropyTerm = tf.sub(entropyTerm, terms.entropy);'],
    ['log q forgotten', 'N1 N2', ''],
  ]),
  ...mutationsOf(3, ELBO, 'priorTerm = tf.add(priorTerm, terms.prior);', [
    ['log p(w) with the wrong sign', 'N1 N2', 'priorTerm = tf.sub(priorTerm, terms.prior);'],
  ]),
  ...mutationsOf(3, TRAINING, 'tf.add(terms.priorTerm, terms.entropyTerm)', [
    ['training: log q with the wrong sign', 'G2', 'tf.sub(terms.priorTerm, terms.entropyTerm)'],
    ['training: log q forgotten', 'G2', 'terms.priorTerm'],
  ]),
  ...mutationsOf(4, HIERARCHICAL, 'tf.sub(tf.logSumExp(weights, 0), Math.log(noise.shape[0]))', [
    ['1/K missing', 'L1 N1', 'tf.logSumExp(weights, 0)'],
    ['1/(K+1) for 1/K', 'L1 L2 N1', 'tf.sub(tf.logSumExp(weights, 0), Math.log(noise.shape[0] + 1))'],
    ['mean of logarithms, not logarithm of the mean', 'L3 L5', 'tf.mean(weights, 0)'],
  ]),
  ...mutationsOf(
    5,
    HIERARCHICAL,
    'tf.sub(tf.logSumExp(tf.concat([first, weights], 0), 0), Math.log(noise.shape[0] + 1))',
    [
      ['ζ₀ missing, 1/K', 'U3 U4', 'tf.sub(tf.logSumExp(weights, 0), Math.log(noise.shape[0]))'],
      ['ζ₀ missing, 1/(K+1)', 'U1 U3 U4', 'tf.sub(tf.logSumExp(weights, 0), Math.log(noise.shape[0] + 1))'],
      ['1/(K+1) missing', 'U1 N1', 'tf.logSumExp(tf.concat([first, weights], 0), 0)'],
      [
        '1/K for 1/(K+1)',
        'U1 N1',
        'tf.sub(tf.logSumExp(tf.concat([first, weights], 0), 0), Math.log(noise.shape[0]))',
      ],
    ],
  ),
  ...mutationsOf(6, ELBO, 'priorTerm = tf.add(priorTerm, terms.prior);', [
    ['the last layer alone', 'N4', 'priorTerm = terms.prior;'],
  ]),
  ...mutationsOf(8, ELBO, 'model.examples / batch.labels.shape[0]', [['N/B missing', 'N3', '1']]),
  ...mutationsOf(9, ELBO, 'count / each.shape[0]!', [['n/S missing', 'N3', '1']]),
  ...mutationsOf(11, NORMAL, 'tf.neg(tf.sum(tf.add(logStd, 0.5 * (LOG_2PI + 1)), -1))', [
    ['½ log 2π for ½ log 2πe', 'N2', 'tf.neg(tf.sum(tf.add(logStd, 0.5 * LOG_2PI), -1))'],
    ['log s with the wrong sign', 'N2 G2', 'tf.neg(tf.sum(tf.sub(0.5 * (LOG_2PI + 1), logStd), -1))'],
  ]),
  ...mutationsOf(12, 'posteriors/estimators.ts', 'tf.square(x), tf.exp(tf.mul(q.logStd, 2))', [
    ['x for x²', 'N2', 'x, tf.exp(tf.mul(q.logStd, 2))'],
    ['s for s²', 'N2', 'tf.square(x), tf.exp(q.logStd)'],
  ]),
  ...mutationsOf(13, 'priors/normal.ts', 'tf.add(tf.square(mean), tf.exp(tf.mul(logStd, 2)))', [
    ['s² forgotten', 'N2 G2', 'tf.square(mean)'],
  ]),
  ...mutationsOf(13, 'priors/normal.ts', '-d * (Math.log(std) + 0.5 * LOG_2PI)', [
    ['d log σ with the wrong sign', 'N2', '-d * (-Math.log(std) + 0.5 * LOG_2PI)'],
  ]),
  ...mutationsOf(14, 'priors/gaussian.ts', 'tf.add(distance, spread)', [
    ['(Σ⁻¹)_jj s_j² forgotten', 'N2', 'distance'],
  ]),
  ...mutationsOf(14, 'priors/gaussian.ts', 'const constant = -logDeterminant', [
    ['log det L with the wrong sign', 'N2', 'const constant = logDeterminant'],
  ]),
  ...mutationsOf(17, NORMAL, 'tf.add(tf.mul(logStd, 2), 1)', [
    ['2 log s with the wrong sign', 'L6', 'tf.sub(1, tf.mul(logStd, 2))'],
  ]),
  ...mutationsOf(18, TRAINING, 'tf.mul(negativeDivergence, inputs.divergenceWeight)', [
    ['T forgotten', 'G2', 'negativeDivergence'],
  ]),
  ...mutationsOf(26, HIERARCHICAL, 'scaleGradient(z, tf.expandDims(shares, -1)), fixed)', [
    ['v_k for v_k²', 'G1', 'z, fixed)'],
    ["the gradient of r's density kept", 'G1', 'scaleGradient(z, tf.expandDims(shares, -1)), r)'],
  ]),
  ...mutationsOf(26, HIERARCHICAL, 'const all = first ? tf.concat([first, weights], 0) : weights;', [
    ['ζ₀ missing from the shares', 'G1', 'const all = weights;'],
  ]),
  ...mutationsOf(27, 'evaluate/importance.ts', 'sum += Math.log(c) + own / c - 1;', [
    ['−1 forgotten', 'M3', 'sum += Math.log(c) + own / c;'],
    ['v_k/c_k forgotten', 'M3', 'sum += Math.log(c);'],
  ]),
  ...mutationsOf(27, 'evaluate/importance.ts', '(i === top ? others : 1 + others - own) / K', [
    ['v_k in its own c_k', 'M3', '(1 + others) / (K + 1)'],
  ]),
  ...mutationsOf(31, FACTORS, 'const shift = tf.add(loadings.apply(factors(latent)), kernels);', [
    ['drawn without ζ', 'S1', 'const shift = kernels;'],
  ]),
  ...mutationsOf(31, FACTORS, 'const precision = tf.add(loadings.squares, 1);', [
    ['‖A_j‖² for 1 + ‖A_j‖²', 'S1', 'const precision = loadings.squares;'],
  ]),
  ...mutationsOf(31, 'posteriors/mnf.ts', 'spread(layer, tf.exp(logScale))); //', [
    ['log σ for σ', 'S1', 'spread(layer, logScale)); //'],
  ]),
  ...mutationsOf(32, FACTORS, 'tf.sub(loadings.squaredLength(apart), tf.mul(cross, 2))', [
    ['2 δ·(r Aᵀ) with the wrong sign', 'S1', 'tf.add(loadings.squaredLength(apart), tf.mul(cross, 2))'],
    ['δ·(r Aᵀ) once', 'S1', 'tf.sub(loadings.squaredLength(apart), cross)'],
    ['‖δA‖² forgotten', 'S1', 'tf.neg(tf.mul(cross, 2))'],
  ]),
  ...mutationsOf(32, FACTORS, 'tf.sum(tf.add(logStd, 0.5 * LOG_2PI), -1)', [
    ['log s with the wrong sign', 'S1', 'tf.sum(tf.sub(0.5 * LOG_2PI, logStd), -1)'],
  ]),
  ...mutationsOf(33, 'posteriors/mnf.ts', 'return tf.add(density.logLatent(x), logDeterminant);', [
    ['log |det| with the wrong sign', 'S2', 'return tf.sub(density.logLatent(x), logDeterminant);'],
    ['log |det| forgotten', 'S2', 'return density.logLatent(x);'],
  ]),
  ...mutationsOf(33, 'posteriors/mnf.ts', 'density.logLikelihood(w, back(v).x)', [
    ['v for ζ in log q(w|ζ)', 'S2', 'density.logLikelihood(w, v)'],
  ]),
  ...mutationsOf(36, HMC, 'tf.add(state.position, tf.mul(p, stepSize))', [
    ['x against its momentum', 'C1', 'tf.sub(state.position, tf.mul(p, stepSize))'],
  ]),
  ...mutationsOf(37, HMC, 'tf.less(logUniform, logRatio)', [
    ['the ratio upside down', 'C2', 'tf.less(logUniform, tf.neg(logRatio))'],
  ]),
  ...mutationsOf(38, UNBIASED, 'tf.sub(wanted, tf.mean(acceptance))', [
    ['shorter steps where more is accepted', 'C1', 'tf.sub(tf.mean(acceptance), wanted)'],
  ]),
  ...mutationsOf(41, UNBIASED, 'tf.mul(tf.sub(w, stopGradient(w)), stopGradient(score))', [
    ['the wrong sign', 'C1', 'tf.mul(tf.sub(stopGradient(w), w), stopGradient(score))'],
  ]),
  ...mutationsOf(41, UNBIASED, 'scoreGiven(chains.position)', [
    ['ζ₀ itself, no chain', 'C1', 'scoreGiven(start)'],
  ]),
  ...mutationsOf(41, HMC, 'const position = stopGradient(from);', [
    ['the gradient of w back through the chain', 'C1', 'const position = from;'],
  ]),
  ...mutationsOf(41, UNBIASED, 'const fixedW = stopGradient(w);', [
    ["the bound's gradient kept, w", 'C1', 'const fixedW = w;'],
  ]),
  ...mutationsOf(50, 'distributions/mixture.ts', 'Math.log(count) + 0.5 * size * LOG_2PI', [
    ['1/K missing', 'M1', '0.5 * size * LOG_2PI'],
  ]),
  ...mutationsOf(50, 'distributions/mixture.ts', 'tf.neg(components.logStd)), 1)', [
    ['log std with the wrong sign', 'M1', 'components.logStd), 1)'],
  ]),
  ...mutationsOf(51, 'priors/latent/aggregate.ts', '{ [POINTS]: components } : {}', [
    ['all rows, not K of them', 'M2', '{ [POINTS]: kept.shape[0] } : {}'],
  ]),
  ...mutationsOf(51, 'train/fit-prior.ts', "foldIn(key, 'resampled', name, t + i)", [
    ['the same rows in every step', 'M2', "foldIn(key, 'resampled', name)"],
  ]),
];
