// The networks of evidence.ts: linear regressions with their priors and posteriors, and their bound as a compiled step.
import { CholeskyDecomposition, inverse, Matrix } from 'ml-matrix';
import type { Model } from '../../../src/bounds/elbo.js';
import type { BoundSettings } from '../../../src/bounds/settings.js';
import { type Engine, f32, type NdArray, spec, type tf } from '../../../src/engine/index.js';
import { convLayers, weightShape } from '../../../src/network/index.js';
import type { Estimator } from '../../../src/posteriors/index.js';
import type { Tensors } from '../../../src/priors/index.js';
import { B, COVARIANCE, linearGaussianPrior, type Perturbation } from '../linear-gaussian.js';
import { linearParameters, linearPosterior } from '../linear-posterior.js';
import { bestMeanField, type Regression, regression } from '../regression.js';
import type { Subject } from './proof.js';

export type Arrays = Record<string, NdArray>;
export type Terms = Record<'expectedLogLikelihood' | 'priorTerm' | 'entropyTerm', number>;

export const D = 6;
export const CHANNELS = 2;

/** Kernels of 2×3 under the linear-Gaussian prior, which is bounded by (1) with the given r. */
export const latentRegression = (r: Perturbation): Regression =>
  regression({
    prior: linearGaussianPrior(r),
    mean: B,
    covariance: COVARIANCE,
    channels: CHANNELS,
    apart: true,
  });

/** The same prior by its exact density. */
export function exactRegression({ families }: Subject): Regression {
  const lower = new CholeskyDecomposition(COVARIANCE).lowerTriangularMatrix;
  const array = (m: Matrix) => f32([D, D], Float32Array.from(m.to1DArray()));
  const parameters = {
    mean: f32([D], Float32Array.from(B)),
    cholesky: array(lower),
    inverseCholesky: array(inverse(lower)),
  };
  const prior = families.get('gaussian')!.prior({ h: 2, w: 3 }, { jitter: 1e-6 }, parameters);
  return regression({ prior, mean: B, covariance: COVARIANCE, channels: CHANNELS, apart: true });
}

/** Kernels of 1×1 under N(0, 0.5²), not independent given the data. */
export const pointwiseRegression = ({ isotropicNormal }: Pick<Subject, 'isotropicNormal'>): Regression =>
  regression({
    prior: isotropicNormal({ h: 1, w: 1 }, {}, 0.5),
    mean: [0],
    covariance: new Matrix([[0.25]]),
    channels: 4,
  });

const LIKE_ALL = { estimator: 'weight-samples', kernelSubsample: Number.POSITIVE_INFINITY } as const;

/** The exact posterior of a regression whose kernels are independent given the data. */
export const posteriorModel = ({ model }: Regression, bound: BoundSettings): Model => ({
  ...model,
  ...LIKE_ALL,
  posterior: linearPosterior(D),
  bound,
});

export function posteriorOf({ model, solve }: Regression): Arrays {
  const { mean, precision } = solve();
  const covariance = inverse(precision);
  const blocks = Array.from({ length: CHANNELS }, (_, k) => [k * D, (k + 1) * D - 1] as const);
  const [layer] = convLayers(model.architecture);
  const parameters = linearParameters(
    layer,
    blocks.map(([from, to]) => mean.slice(from, to + 1)),
    blocks.map(([from, to]) => covariance.subMatrix(from, to, from, to)),
  );
  return {
    ...Object.fromEntries(Object.entries(parameters).map(([name, array]) => [`conv.${name}`, array])),
    'conv.bias': f32([1]),
  };
}

export const meanFieldModel = (
  { model }: Pick<Regression, 'model'>,
  { posteriors }: Pick<Subject, 'posteriors'>,
  estimator: Estimator = 'weight-samples',
): Model => ({ ...model, ...LIKE_ALL, posterior: posteriors['mean-field'], estimator });

export const meanFieldOf = ({ model, solve }: Regression, q = bestMeanField(solve())): Arrays => {
  const shape = weightShape(convLayers(model.architecture)[0]);
  return {
    'conv.mean': f32(shape, Float32Array.from(q.mean)),
    'conv.logStd': f32(shape, Float32Array.from(q.logStd)),
    'conv.bias': f32([1]),
  };
};

/** Compiles the bound; calls are given noise, rows of examples, and rows of kernels where they are subsampled. */
export async function compile(
  { boundTerms, boundNoise }: Subject,
  engine: Engine,
  model: Model,
  parameters: Arrays,
  examples: number,
  kernels?: number,
) {
  const { height, width, channels } = model.architecture.input;
  const specs = boundNoise(model, examples);
  const priors = Object.entries(model.priors.conv.parameters);
  const step = await engine.compile(
    (inputs: Inputs, given: { parameters: Tensors; priors: Tensors }) => ({
      ...boundTerms(model, given.parameters, given.priors, inputs),
    }),
    {
      inputs: {
        images: spec([examples, height, width, channels]),
        labels: spec([examples], 'int32'),
        noise: specs,
        rows: kernels ? { conv: spec([kernels], 'int32') } : {},
      } as never,
      constants: {
        parameters,
        priors: Object.fromEntries(priors.map(([name, array]) => [`conv.${name}`, array])),
      },
    },
  );
  return {
    specs,
    async run({ batch }: Regression, noise: Arrays, picked = everyRow(examples), rows?: readonly number[]) {
      const size = height * width * channels;
      const data = picked.flatMap((i) => [...batch.images.data.subarray(i * size, (i + 1) * size)]);
      const out = await step.run({
        images: f32([examples, height, width, channels], Float32Array.from(data)),
        labels: indices(picked.map((i) => batch.labels.data[i])),
        noise,
        rows: rows ? { conv: indices(rows) } : {},
      } as never);
      const { expectedLogLikelihood, priorTerm, entropyTerm } = out as unknown as Record<
        keyof Terms,
        NdArray
      >;
      return {
        expectedLogLikelihood: expectedLogLikelihood.data[0],
        priorTerm: priorTerm.data[0],
        entropyTerm: entropyTerm.data[0],
      };
    },
    release: () => step.release(),
  };
}

export interface Inputs {
  images: tf.Tensor4D;
  labels: tf.Tensor1D;
  noise: Tensors;
  rows: Tensors;
}

const everyRow = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
export const indices = (values: readonly number[]): NdArray => ({
  shape: [values.length],
  data: Int32Array.from(values),
});
export const totalOf = ({ expectedLogLikelihood, priorTerm, entropyTerm }: Terms) =>
  expectedLogLikelihood + priorTerm + entropyTerm;

/** The likelihood is that of the W which prior and entropy are of: the terms' means are the same, their sum is quieter. */
export const ofOneDraw = (noise: Arrays): Arrays => {
  const weights = noise['conv.likelihood.weights'];
  return {
    ...noise,
    'conv.likelihood.weights': { shape: weights.shape, data: noise['conv.prior.kernels'].data },
    'conv.likelihood.latent': noise['conv.prior.mixing'],
  };
};
