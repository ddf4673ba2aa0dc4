// Fitting a q(w) to a target with an estimator: Adam, one step of the compiled graph after the other.
import {
  type Engine,
  f32,
  foldIn,
  type Key,
  layoutOf,
  noiseFor,
  StepError,
  sizeOf,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import { DwpError } from '../errors.js';
import { type Estimator, type Sampler, samplerOf } from '../estimators/index.js';
import { type Estimate, meanOf } from '../evaluate/two-sample.js';
import type { Arrays } from '../priors/index.js';
import { adam, correctedRate, initialAdam, packAdam } from '../train/adam.js';
import type { Target } from './target.js';

export interface FitOptions {
  steps: number;
  /** Draws of q in a step. */
  draws: number;
  learningRate: number;
}

export const defaultFit: FitOptions = { steps: 1_000, draws: 64, learningRate: 1e-2 };

export interface Fitted {
  q: Sampler;
  parameters: Arrays;
  /** What the estimator takes KL(q ‖ p) − log Z for in the end, nats; undefined where it gives gradients only. */
  claimed?: Estimate;
  /** Milliseconds of a step, the estimator's work outside of the graph included. */
  stepMilliseconds: number;
}

/** Classifiers and test functions learn faster than q by this factor, for they must follow it (Heusel et al. 2017). */
const AUXILIARY_RATE = 5;
/** Steps at rate 0 that measure the objective in the end. */
const JUDGED = 100;

/**
 * @param progress called after each step
 * @throws DwpError DIVERGED when the objective is no number, INTERRUPTED when `signal` aborts
 */
export async function fitSampler(
  target: Target,
  estimator: Estimator,
  { steps, draws: n, learningRate }: FitOptions,
  engine: Engine,
  key: Key,
  { signal, progress }: { signal?: AbortSignal; progress?(): void } = {},
): Promise<Fitted> {
  const d = target.dimensions;
  const q = samplerOf(estimator.family, d);
  const own = prefixed('q', q.initial(target.scale, foldIn(key, 'initial')));
  const auxiliary = prefixed('auxiliary', estimator.auxiliary?.(d, foldIn(key, 'auxiliary')) ?? {});
  const initial = { ...own, ...auxiliary };
  const layout = layoutOf(initial);
  const count = (arrays: Arrays) => Object.values(arrays).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const speed = f32([count(initial)]);
  speed.data.fill(1, 0, count(own)).fill(AUXILIARY_RATE, count(own));

  const drawSpecs = q.noise(n);
  const noiseSpecs = estimator.noise?.(q, n) ?? {};
  const feeds = {
    draws: noiseFor(drawSpecs, key),
    noise: noiseFor(noiseSpecs, key),
    scores: estimator.scores ? { all: f32([n, d]) } : {},
    rate: f32([]),
  };
  let current = packAdam(layout, initialAdam(initial));
  let next = packAdam(layout);

  const step = await engine.compile(
    ({ parameters, moments, draws, noise, scores, rate }, { speed, data }) => {
      const { objective, aux, gradients } = valueAndGradients(
        ({ vector }) => {
          const all = unpack(vector, layout);
          const own = part('q', all);
          const drawn = q.draw(own, draws);
          const { descend, value } = estimator.objective(
            {
              q,
              logTarget: (w) => target.logDensity(data, w),
              score: (w) => target.score(data, w),
            },
            { q: own, auxiliary: part('auxiliary', all) },
            drawn,
            { noise, scores: scores.all },
          );
          return { objective: descend, aux: { value: value ?? descend } };
        },
        { vector: parameters },
      );
      return {
        objective,
        value: aux.value,
        ...adam(parameters, gradients.vector, moments, tf.mul(speed, rate)),
      };
    },
    { inputs: { ...current.vectors, ...feeds }, constants: { data: target.data, speed } },
  );
  const draw =
    estimator.scores &&
    (await engine.compile(
      ({ vector, draws }) => ({
        w: q.draw(part('q', unpack(vector, layout)), draws).w,
      }),
      { inputs: { vector: current.vectors.parameters, draws: drawSpecs } },
    ));
  const result = { objective: f32([]), value: f32([]) };
  const run = async (t: number, rate: number) => {
    noiseFor(drawSpecs, foldIn(key, 'draws', t), feeds.draws);
    noiseFor(noiseSpecs, foldIn(key, 'noise', t), feeds.noise);
    feeds.rate.data[0] = rate;
    if (draw && estimator.scores) {
      const { w } = await draw.run({
        vector: current.vectors.parameters,
        draws: feeds.draws,
      });
      feeds.scores.all!.data.set(estimator.scores(w.data as Float32Array, n, d));
    }
    try {
      await step.run({ ...current.vectors, ...feeds }, { ...result, ...next.vectors });
    } catch (error) {
      if (!(error instanceof StepError)) throw error;
      throw diverged(target, estimator, t, error.message);
    }
    if (!Number.isFinite(result.objective.data[0]))
      throw diverged(target, estimator, t, `the objective is ${result.objective.data[0]}`);
    return result.value.data[0];
  };
  const began = performance.now();
  let claimed: Fitted['claimed'];
  let stepMilliseconds: number;
  try {
    for (let t = 1; t <= steps; t++) {
      if (signal?.aborted) throw new DwpError('INTERRUPTED', `interrupted at step ${t}`, 'run it again');
      await run(t, correctedRate(learningRate * falling(t, steps), t));
      [current, next] = [next, current];
      progress?.();
    }
    stepMilliseconds = (performance.now() - began) / steps;
    if (estimator.valued) {
      const values = [];
      for (let t = 1; t <= JUDGED; t++) values.push(await run(steps + t, 0));
      claimed = meanOf(values);
    }
  } finally {
    await Promise.all([step.release(), draw?.release()]);
  }
  const state = current.state.parameters;
  return { q, parameters: part('q', state), claimed, stepMilliseconds };
}

/** Constant, then falling linearly to a twentieth over the second half. */
const falling = (t: number, steps: number): number => Math.min(1, Math.max(0.05, 2 * (1 - t / steps)));

const prefixed = (prefix: string, arrays: Arrays): Arrays =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`${prefix}.${name}`, array]));

const part = <T>(prefix: string, all: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(all)
      .filter(([name]) => name.startsWith(`${prefix}.`))
      .map(([name, value]) => [name.slice(prefix.length + 1), value]),
  );

const diverged = (target: Target, { name }: Estimator, step: number, what: string) =>
  new DwpError(
    'DIVERGED',
    `${name} on ${target.name}, step ${step}: ${what}`,
    'try a smaller --learning-rate',
  );
