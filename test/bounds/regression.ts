// Bayesian linear regression as a network of one convolution whose kernel covers its whole image: prior, likelihood and
// posterior are normal, and the evidence is known. Targets are multiples of a quarter, so that they can be labels.
import { CholeskyDecomposition, inverse, Matrix } from 'ml-matrix';
import type { Model } from '../../src/bounds/elbo.js';
import type { ImageSet } from '../../src/data/index.js';
import { logDensity } from '../../src/distributions/normal.js';
import { f32, type NdArray, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import { buildArchitecture } from '../../src/network/index.js';
import type { KernelPrior } from '../../src/priors/index.js';

export const EXAMPLES = 14;
const UNIT = 0.25;
const NOISE = 0.5; // standard deviation of a target given its image

interface Options {
  prior: KernelPrior;
  /** Mean and covariance of a kernel under the prior, [d] and [d, d]. */
  mean: ArrayLike<number>;
  covariance: Matrix;
  channels: number;
  /** Every image has a single channel that is not black, so that kernels are independent given the data. */
  apart?: boolean;
}

export interface Regression {
  model: Pick<Model, 'architecture' | 'priors' | 'examples' | 'logLikelihood'>;
  data: ImageSet;
  /** All images [n, h, w, c] and labels [n], as a step takes them. */
  batch: { images: NdArray; labels: NdArray };
  /**
   * For a bias of the layer: log p(𝒟 | bias), and mean and precision of p(W | 𝒟, bias), kernel after kernel. At a
   * temperature T they are those of p(W) p(𝒟 | W, bias)^(1/T).
   */
  solve(bias?: number, temperature?: number): { evidence: number; mean: number[]; precision: Matrix };
}

/** Of a symmetric positive matrix; rounding has left it not quite symmetric. */
const logDeterminant = (m: Matrix): number =>
  new CholeskyDecomposition(Matrix.add(m, m.transpose()).mul(0.5)).lowerTriangularMatrix
    .diagonal()
    .reduce((sum, x) => sum + 2 * Math.log(x), 0);

export function regression({ prior, mean, covariance, channels, apart = false }: Options): Regression {
  const { h, w } = prior.size;
  const d = h * w;
  const architecture = buildArchitecture('regression', { height: h, width: w, channels }, 1, [
    { kind: 'conv', name: 'conv', channels: 1, kernel: [h, w] },
    { kind: 'flatten' },
  ]);
  const stream = new RandomStream(seedKey(500));
  const pixels = Uint8Array.from({ length: EXAMPLES * d * channels }, (_, at) => {
    const value = stream.integer(256);
    return apart && at % channels !== Math.floor(at / (d * channels)) % channels ? 0 : value;
  });
  const images = f32(
    [EXAMPLES, h, w, channels],
    Float32Array.from(pixels, (x) => x / 255),
  );
  const x = Matrix.zeros(EXAMPLES, channels * d); // a row holds its image channel by channel, as kernels come
  images.data.forEach((value, at) => {
    x.set(Math.floor(at / (d * channels)), (at % channels) * d + (Math.floor(at / channels) % d), value);
  });
  const truth = Array.from({ length: channels * d }, (_, i) => mean[i % d] + 0.7 * stream.normal());
  const labels = Int32Array.from(x.mmul(Matrix.columnVector(truth)).to1DArray(), (y) =>
    Math.round((y + NOISE * stream.normal()) / UNIT),
  );

  const priorMean = Matrix.columnVector(Array.from({ length: channels * d }, (_, i) => mean[i % d]));
  const priorCovariance = Matrix.zeros(channels * d, channels * d);
  for (let k = 0; k < channels; k++) priorCovariance.setSubMatrix(covariance, k * d, k * d);
  return {
    model: {
      architecture,
      priors: { conv: prior },
      examples: EXAMPLES,
      logLikelihood: (outputs, labels) => {
        const targets = tf.mul(tf.cast(tf.expandDims(labels, 1), 'float32'), UNIT);
        const logStd = tf.scalar(Math.log(NOISE));
        return tf.sum(logDensity(targets, { mean: outputs, logStd })) as tf.Scalar;
      },
    },
    data: { images: pixels, labels, count: EXAMPLES, height: h, width: w, channels, classes: 1 },
    batch: { images, labels: { shape: [EXAMPLES], data: labels } },
    solve(bias = 0, temperature = 1) {
      const dataPrecision = 1 / (NOISE ** 2 * temperature);
      const y = Matrix.columnVector(Array.from(labels, (label) => UNIT * label - bias));
      const priorPrecision = inverse(priorCovariance);
      const precision = Matrix.add(priorPrecision, x.transpose().mmul(x).mul(dataPrecision));
      const mean = inverse(precision).mmul(
        priorPrecision.mmul(priorMean).add(x.transpose().mmul(y).mul(dataPrecision)),
      );
      // y ~ N( Xb, XCXᵀ + noise² I )
      const marginal = x
        .mmul(priorCovariance)
        .mmul(x.transpose())
        .add(Matrix.eye(EXAMPLES).mul(NOISE ** 2));
      const residual = Matrix.sub(y, x.mmul(priorMean));
      const distance = residual.transpose().mmul(inverse(marginal)).mmul(residual).get(0, 0);
      return {
        evidence: -0.5 * (EXAMPLES * Math.log(2 * Math.PI) + logDeterminant(marginal) + distance),
        mean: mean.to1DArray(),
        precision,
      };
    },
  };
}

/** KL( N(mean, diag std²) ‖ N(m, Λ⁻¹) ) = ½ [ Σ Λ_jj std_j² + (mean − m)ᵀΛ(mean − m) − d − Σ log std_j² − log det Λ ]. */
export function klOfMeanField(
  q: { mean: ArrayLike<number>; logStd: ArrayLike<number> },
  { mean, precision }: { mean: ArrayLike<number>; precision: Matrix },
): number {
  const off = Matrix.columnVector(Array.from(q.mean, (x, i) => x - mean[i]));
  let sum = off.transpose().mmul(precision).mmul(off).get(0, 0) - logDeterminant(precision);
  precision.diagonal().forEach((lambda, j) => {
    sum += lambda * Math.exp(2 * q.logStd[j]) - 1 - 2 * q.logStd[j];
  });
  return 0.5 * sum;
}

/** The mean field nearest to the posterior: its mean, and standard deviations Λ_jj^−½. */
export const bestMeanField = ({ mean, precision }: { mean: number[]; precision: Matrix }) => ({
  mean,
  logStd: precision.diagonal().map((lambda) => -0.5 * Math.log(lambda)),
});
