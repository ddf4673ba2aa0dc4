// The density of held-out kernels under a prior: exact where it is known, else ELBO and importance-weighted bound.
import { lowerBound, proposalOf } from '../bounds/hierarchical.js';
import { type LatentDensity, logImportanceWeight } from '../distributions/latent.js';
import { logDensity, reparameterise } from '../distributions/normal.js';
import { chunksOf, type Engine, f32, foldIn, type Key, RandomStream, spec, tf } from '../engine/index.js';
import { type KernelPrior, kernelLength, type Tensors } from '../priors/index.js';

/** Nats per kernel, with standard errors over kernels. */
export interface DensityReport {
  n: number;
  /** Exact mean log p(w); only for families that have it. */
  logDensity?: number;
  /** Mean one-sample bound (1), and the K-sample bound (4); only for latent-variable families. */
  elbo?: number;
  bound?: number;
  samples?: number;
  /** Mean KL( r(z|w) ‖ p(z) ), by the same samples; only for latent-variable families. */
  latentKl?: number;
  /** Mean one-sample bound (1) with N(0, I), which is mostly p(z), in the place of r; only for latent-variable families. */
  withoutEncoder?: number;
  standardError: number;
}

/** Kernels × importance samples that one call evaluates: bounds the memory whatever K is. */
const CHUNK = 50_000;
/** Components of a mixture that take as much memory as the rest does. */
const FREE_COMPONENTS = 64;

/** What is evaluated, and with what effort. */
export interface DensityOfKernels {
  prior: KernelPrior;
  /** [n, d] */
  kernels: Float32Array;
  /** K of bound (4). */
  samples: number;
  engine: Engine;
  key: Key;
  /**
   * So many rows, one after the other, count as one: a filter whose slices are independent has the sum of their densities
   * (102). 1 unless given.
   */
  together?: number;
}

export async function evaluateDensity(
  given: DensityOfKernels,
  progress?: (done: number, total: number) => void,
): Promise<DensityReport> {
  const { together = 1, samples } = given;
  const totals = await densityValues(given, progress);
  const units = given.kernels.length / kernelLength(given.prior.size) / together;
  const mean = (x: Float64Array) => x.reduce((a, b) => a + b, 0) / units;
  const main = sums(totals.logDensity ?? totals.bound, together);
  const center = mean(main);
  const standardError = Math.sqrt(
    main.reduce((sum, x) => sum + (x - center) ** 2, 0) / Math.max(1, units - 1) / units,
  );
  return totals.logDensity
    ? { n: units, logDensity: center, standardError }
    : {
        n: units,
        elbo: mean(totals.elbo),
        bound: center,
        samples,
        latentKl: mean(totals.latentKl),
        withoutEncoder: mean(totals.withoutEncoder),
        standardError,
      };
}

/** What a {@link DensityReport} is the mean of, for each kernel, [n]: `logDensity` where it is known, else bounds. */
export async function densityValues(
  { prior, kernels: w, samples, engine, key }: DensityOfKernels,
  progress?: (done: number, total: number) => void,
): Promise<Record<string, Float64Array>> {
  const d = kernelLength(prior.size);
  const n = w.length / d;
  const { density } = prior;
  const drawn = density.kind === 'exact' ? 1 : samples;
  const cost = drawn * Math.max(1, (density.components ?? 1) / FREE_COMPONENTS);
  const rows = Math.min(n, Math.max(1, Math.floor(CHUNK / cost)));
  const latentSize = density.kind === 'latent' ? density.latentSize : 0;
  const step = await engine.compile(
    ({ w, noise }, parameters): Tensors => {
      if (density.kind === 'exact') return { logDensity: density.logDensity(parameters, w) };
      const latent = density.of(parameters);
      const first = tf.slice(noise!, [0, 0, 0], [1, rows, latentSize]);
      return {
        elbo: lowerBound(latent, w, first),
        bound: lowerBound(latent, w, noise!),
        ...useOfLatent(latent, w, noise!),
      };
    },
    {
      inputs: {
        w: spec([rows, d]),
        ...(latentSize ? { noise: spec([samples, rows, latentSize]) } : {}),
      },
      constants: prior.parameters,
    },
  );
  const totals: Record<string, Float64Array> = {};
  for (const { from, to, fresh } of chunksOf(n, rows)) {
    const noise = latentSize
      ? {
          noise: f32(
            [samples, rows, latentSize],
            new RandomStream(foldIn(key, fresh / rows)).fillNormal(
              new Float32Array(samples * rows * latentSize),
            ),
          ),
        }
      : {};
    const out = await step.run({
      w: f32([rows, d], w.subarray(from * d, to * d)),
      ...noise,
    });
    for (const [name, { data }] of Object.entries(out)) {
      totals[name] ??= new Float64Array(n);
      totals[name].set(data, from);
    }
    progress?.(to, n);
  }
  await step.release();
  return totals;
}

/** Samples of N(0, I) for the bound without r. */
const WITHOUT_ENCODER = 10;

/** What r(z|w) says of z, (17) by samples, and the bound (1) with N(0, I) in its place: [n] each, nats. */
function useOfLatent(density: LatentDensity, w: tf.Tensor, noise: tf.Tensor): Tensors {
  const r = density.encode(w);
  const z = reparameterise(r, noise);
  const latentKl = tf.mean(tf.sub(logDensity(z, r), density.logLatent(z)), 0);
  const [k, n, l] = noise.shape as [number, number, number];
  const few = tf.slice(noise, [0, 0, 0], [Math.min(k, WITHOUT_ENCODER), n, l]);
  const standard = proposalOf(density, w, 'prior');
  const weights = logImportanceWeight(density, w, reparameterise(standard, few), standard);
  return { latentKl, withoutEncoder: tf.mean(weights, 0) };
}

/** Of every `together` values in a row. */
function sums(x: Float64Array, together: number): Float64Array {
  if (together === 1) return x;
  const out = new Float64Array(x.length / together);
  x.forEach((value, i) => {
    out[Math.floor(i / together)] += value;
  });
  return out;
}
