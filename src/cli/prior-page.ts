// What the page of dwp check-prior shows of a prior beside tests: nearest kernels, the map of z, components.
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { chunksOf, type Engine, f32, type Key, RandomStream, spec } from '../engine/index.js';
import type { Sample } from '../evaluate/sample-statistics.js';
import { plainBank } from '../priors/gated/bank.js';
import { type KernelPrior, kernelLength } from '../priors/index.js';
import { heaviestComponents } from '../priors/mixture/components.js';
import { RADIAL, straightened } from '../priors/mixture/radial.js';
import type { CheckReport } from '../report/check-report.js';
import type { Decoder } from '../report/latent/decode.js';

const PAIRS = 24;
const COMPONENTS = 24;
const DRAWS = 3;
/** Names of networks in the legend; the others are one. */
const MOST_NAMED = 7;
const ROWS = 250;

const rowOf = ({ data, count }: Sample, i: number): number[] => {
  const d = data.length / count;
  return Array.from(data.subarray(i * d, (i + 1) * d));
};

/** The first samples, each with the kernel at the smallest Euclidean distance. */
export function neighboursOf(
  samples: Sample,
  kernels: Sample,
): Pick<CheckReport['neighbours'], 'samples' | 'nearest'> {
  const shown = Array.from({ length: Math.min(PAIRS, samples.count) }, (_, i) => rowOf(samples, i));
  const d = samples.data.length / samples.count;
  const nearest = shown.map((sample) => {
    let [best, least] = [0, Number.POSITIVE_INFINITY];
    for (let i = 0; i < kernels.count; i++) {
      let distance = 0;
      for (let j = 0; j < d && distance < least; j++) distance += (sample[j] - kernels.data[i * d + j]) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return rowOf(kernels, best);
  });
  return { samples: shown, nearest };
}

/** p(w|z) as the page computes it; undefined for networks that it does not. */
function pageDecoder({ family, size, config, parameters }: KernelPrior): Decoder | undefined {
  const d = kernelLength(size);
  const { latent } = config as { latent: number };
  if (family === 'vae')
    return { kind: 'gated', d, l: latent, ...plainBank(parameters), knots: parameters[RADIAL].data };
  if (family !== 'vae-pixels' || config.networks !== 'dense') return undefined;
  const layers = ['0', '1', 'out'].map((name) => ({
    kernel: parameters[`decoder.${name}.kernel`].data,
    bias: parameters[`decoder.${name}.bias`].data,
  }));
  const logStd = parameters['decoder.logStd']?.data;
  const { hidden } = config as { hidden: number };
  return {
    kind: 'pixels',
    d,
    l: latent,
    hidden,
    layers,
    ...(logStd && { logStd }),
    scale: parameters.scale.data[0],
  };
}

/**
 * Where the encoder sees kernels, in the principal directions of what it says.
 * @param names the network of each kernel, where it is known
 */
export async function latentOf(
  prior: KernelPrior,
  kernels: Sample,
  names: readonly string[] | undefined,
  engine: Engine,
): Promise<CheckReport['latent']> {
  const { density, size } = prior;
  if (density.kind !== 'latent') return undefined;
  const decoder = pageDecoder(prior);
  if (!decoder)
    return {
      missing: `There is no map of z here: the page has no decoder of the family ${prior.family} with these options.`,
    };
  const [d, l, n] = [kernelLength(size), density.latentSize, kernels.count];
  const means = await encodings(prior, kernels, engine);
  const mean = new Float32Array(l);
  for (let i = 0; i < n * l; i++) mean[i % l] += means[i] / n;
  const covariance = Matrix.zeros(l, l);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < l; j++)
      for (let k = 0; k < l; k++)
        covariance.set(
          j,
          k,
          covariance.get(j, k) + ((means[i * l + j] - mean[j]) * (means[i * l + k] - mean[k])) / n,
        );
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(covariance, {
    assumeSymmetric: true,
  });
  const order = Array.from(realEigenvalues.keys()).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const axes = Float32Array.from(order.flatMap((k) => eigenvectorMatrix.getColumn(k)));
  const points = new Float32Array(n * l);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < l; k++)
      for (let j = 0; j < l; j++) points[i * l + k] += axes[k * l + j] * (means[i * l + j] - mean[j]);
  const limits = Float32Array.from({ length: l }, (_, k) => {
    let largest = 2;
    for (let i = 0; i < n; i++) largest = Math.max(largest, 1.05 * Math.abs(points[i * l + k]));
    return largest;
  });
  return {
    ...{ h: size.h, w: size.w, channels: size.channels ?? 1, decoder, points, axes, mean, limits },
    ...groupsOf(names ?? new Array<string>(n).fill('kernels')),
    kernels: Float32Array.from(kernels.data.subarray(0, n * d)),
  };
}

/** Means of r(z|w), [n, l]. */
async function encodings({ density, parameters }: KernelPrior, { data, count }: Sample, engine: Engine) {
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  const [d, l, rows] = [data.length / count, density.latentSize, Math.min(ROWS, count)];
  const step = await engine.compile(
    ({ w }, parameters) => ({ mean: density.of(parameters).encode(w).mean }),
    {
      inputs: { w: spec([rows, d]) },
      constants: parameters,
    },
  );
  const means = new Float32Array(count * l);
  for (const { from, to } of chunksOf(count, rows)) {
    const { mean } = await step.run({
      w: f32([rows, d], Float32Array.from(data.subarray(from * d, to * d))),
    });
    means.set(mean.data, from * l);
  }
  await step.release();
  return means;
}

/** Those of the most kernels have a name of their own. */
function groupsOf(names: readonly string[]): { groups: Uint8Array; names: string[] } {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const sorted = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1));
  const kept = sorted.length > MOST_NAMED + 1 ? sorted.slice(0, MOST_NAMED) : sorted;
  const groups = Uint8Array.from(names, (name) => (kept.includes(name) ? kept.indexOf(name) : kept.length));
  return {
    groups,
    names: sorted.length > kept.length ? [...kept, `${sorted.length - kept.length} others`] : kept,
  };
}

/** The heaviest components of a mixture, with draws of each. */
export function componentsOf(
  { family, size, config, parameters }: KernelPrior,
  key: Key,
): CheckReport['components'] {
  if (family !== 'mixture') return undefined;
  const d = kernelLength(size);
  const stream = new RandomStream(key);
  const knots = parameters[RADIAL];
  const back =
    knots &&
    f32(
      [2, knots.shape[1]],
      Float32Array.from([...knots.data.subarray(knots.shape[1]), ...knots.data.subarray(0, knots.shape[1])]),
    );
  const bent = (x: number[]) =>
    back ? Array.from(straightened({ data: x, count: 1, size: d }, back).data) : x;
  const { tails } = config as { tails: number | 'normal' };
  const { count, components } = heaviestComponents(parameters, COMPONENTS);
  const draw = (mean: ArrayLike<number>, colouring: ArrayLike<number>): number[] => {
    const noise = Array.from({ length: d }, () => stream.normal());
    let factor = 1;
    if (tails !== 'normal') {
      let square = 0;
      for (let i = 0; i < tails; i++) square += stream.normal() ** 2;
      factor = Math.sqrt(tails / square);
    }
    return bent(
      Array.from({ length: d }, (_, j) =>
        noise.reduce((sum, x, k) => sum + factor * x * colouring[k * d + j], mean[j]),
      ),
    );
  };
  const shown = components.map(({ weight, mean, colouring }) => ({
    weight,
    mean: bent(Array.from(mean)),
    draws: Array.from({ length: DRAWS }, () => draw(mean, colouring)),
  }));
  return { shown, count };
}
