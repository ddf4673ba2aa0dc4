// Draws of a density by Hamiltonian Monte Carlo: a warm-up that finds step size and scales, then draws by a transition
// that does not change any more.
import {
  type ArraysOf,
  type Engine,
  f32,
  foldIn,
  type Key,
  type NdArray,
  noiseFor,
  RandomStream,
  spec,
  tf,
} from '../engine/index.js';
import { adaptedLogStep, chainsAt, hmc, transitionNoise } from './hmc.js';

export interface HmcSettings {
  /** Transitions before the first draw that is kept. */
  warmUp: number;
  /** Draws of each chain that are kept. */
  draws: number;
  /** Transitions from one draw to the next. */
  thin?: number;
  /** Leapfrog steps of a transition. */
  leapfrog?: number;
  /** Step size to begin with, in units of the scales. */
  initialStep?: number;
  /** Acceptance that the step size is adapted to; 0.65 to 0.9 is efficient. */
  acceptance?: number;
  /** Whether warm-up finds a scale for each dimension (a diagonal mass matrix); all are 1 without. */
  adaptScale?: boolean;
}

export interface HmcDraws {
  /** [chains, draws, d] */
  draws: NdArray & { data: Float32Array };
  /** Mean probability of acceptance after warm-up. */
  acceptance: number;
  stepSize: number;
  /** Units of the step size in each dimension, [d]. */
  scale: Float32Array;
}

/** Steps are this much longer or shorter at random, so that no trajectory closes on itself (Neal 2011, 5.3.2). */
const JITTER = 0.1;

/**
 * Chains of a density on ℝᵈ.
 * @param target log π up to a constant, [c, d] → [c] nats; a pure function that the engine compiles
 * @param start where the chains begin, [c, d]: over-dispersed, for R̂ to mean anything
 * @param constants arrays that `target` is given
 */
export async function sampleHmc(
  engine: Engine,
  target: (position: tf.Tensor, constants: Readonly<Record<string, tf.Tensor>>) => tf.Tensor,
  start: NdArray,
  settings: HmcSettings,
  key: Key,
  constants: Readonly<Record<string, NdArray>> = {},
  progress?: (done: number, total: number) => void,
): Promise<HmcDraws> {
  const {
    warmUp,
    draws,
    thin = 1,
    leapfrog = 10,
    initialStep = 0.1,
    acceptance = 0.8,
    adaptScale = true,
  } = settings;
  const [c, d] = start.shape;
  const specs = transitionNoise(c, d);
  const at = { position: spec([c, d]), logDensity: spec([c]), gradient: spec([c, d]) };
  const begin = await engine.compile(
    ({ position }, constants) => chainsAt((x) => target(x, constants), position),
    { inputs: { position: at.position }, constants },
  );
  const transition = await engine.compile(
    (inputs, constants) => {
      const step = tf.mul(tf.mul(tf.exp(inputs.logStep), inputs.jitter), inputs.scale); // [d]
      const moved = hmc((x) => target(x, constants), inputs, inputs.noise, step, leapfrog);
      return {
        ...moved.state,
        logStep: adaptedLogStep(inputs.logStep, moved.acceptance, inputs.gain, acceptance),
        acceptance: tf.mean(moved.acceptance),
      };
    },
    {
      inputs: {
        ...at,
        logStep: spec([]),
        gain: spec([]),
        jitter: spec([]),
        scale: spec([d]),
        noise: specs,
      },
      constants,
    },
  );

  const scale = f32([d], new Float32Array(d).fill(1));
  let state = await begin.run({ position: start });
  await begin.release();
  let logStep = Math.log(initialStep);
  let noise: ArraysOf<typeof specs> | undefined;
  const move = async (t: number, gain: number): Promise<number> => {
    const moveKey = foldIn(key, 'transition', t);
    noise = noiseFor(specs, moveKey, noise);
    const jitter = 1 + JITTER * (2 * new RandomStream(foldIn(moveKey, 'jitter')).uniform() - 1);
    const scalar = (x: number) => f32([], Float32Array.of(x));
    const { position, logDensity, gradient } = state;
    const out = await transition.run({
      ...{ position, logDensity, gradient, noise, scale },
      ...{ logStep: scalar(logStep), gain: scalar(gain), jitter: scalar(jitter) },
    });
    state = out;
    logStep = out.logStep.data[0];
    progress?.(t, warmUp + draws * thin);
    return out.acceptance.data[0];
  };

  try {
    const moments = new RunningVariance(d);
    const half = Math.floor(warmUp / 2);
    let meanLogStep = logStep;
    for (let t = 1; t <= warmUp; t++) {
      // a new scale is a new unit of the step: approximation begins again
      const since = adaptScale && t > half ? t - half : t;
      await move(t, since ** -0.6);
      if (t > half) meanLogStep += (logStep - meanLogStep) / (t - half); // (Polyak & Juditsky 1992)
      if (adaptScale && t > half / 2 && t <= half) moments.add(state.position.data);
      if (adaptScale && t === half && moments.count > 1) {
        const variance = moments.variance();
        const typical = Math.sqrt(variance.reduce((sum, v) => sum + v, 0) / d) || 1;
        for (let i = 0; i < d; i++) scale.data[i] = Math.max(Math.sqrt(variance[i]) / typical, 1e-3);
      }
    }
    if (warmUp > 0) logStep = meanLogStep;
    const kept = f32([c, draws, d]);
    let accepted = 0;
    for (let i = 0; i < draws; i++) {
      for (let k = 1; k <= thin; k++) accepted += await move(warmUp + i * thin + k, 0);
      for (let chain = 0; chain < c; chain++)
        kept.data.set(
          (state.position.data as Float32Array).subarray(chain * d, (chain + 1) * d),
          (chain * draws + i) * d,
        );
    }
    return {
      draws: kept,
      acceptance: accepted / (draws * thin),
      stepSize: Math.exp(logStep),
      scale: scale.data,
    };
  } finally {
    await transition.release();
  }
}

/** One coordinate of draws [chains, draws, d], or a function of all of them, as chains for the diagnostics. */
export function chainsOf(
  { shape: [chains, draws, d], data }: NdArray,
  of: number | ((x: ArrayLike<number>) => number),
): Float64Array[] {
  const f = typeof of === 'number' ? (x: ArrayLike<number>) => x[of] : of;
  return Array.from({ length: chains }, (_, c) =>
    Float64Array.from({ length: draws }, (_, i) =>
      f(data.subarray((c * draws + i) * d, (c * draws + i + 1) * d)),
    ),
  );
}

/** Variance of each of d numbers over rows that come one after the other (Welford 1962). */
class RunningVariance {
  count = 0;
  private readonly mean: Float64Array;
  private readonly squares: Float64Array;

  constructor(private readonly d: number) {
    this.mean = new Float64Array(d);
    this.squares = new Float64Array(d);
  }

  /** @param rows [n, d] */
  add(rows: ArrayLike<number>): void {
    for (let row = 0; row < rows.length; row += this.d) {
      this.count++;
      for (let i = 0; i < this.d; i++) {
        const before = rows[row + i] - this.mean[i];
        this.mean[i] += before / this.count;
        this.squares[i] += before * (rows[row + i] - this.mean[i]);
      }
    }
  }

  variance(): Float64Array {
    return this.squares.map((x) => x / Math.max(1, this.count - 1));
  }
}
