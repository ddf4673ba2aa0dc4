// Fitting a q(w) to a target with an estimator: Adam, one step of the compiled graph after the other.
import {
  type Engine,
  f32,
  foldIn,
  type Key,
  layoutOf,
  noiseFor,
  sizeOf,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import { type Estimator, type Sampler, samplerOf } from '../estimators/index.js';
import { type Estimate, meanOf } from '../evaluate/two-sample.js';
import type { Arrays } from '../priors/index.js';
import { adam, initialAdam, packAdam } from '../train/adam.js';
import { descend } from '../train/loop.js';
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
  const optimiser = adam();
  const start = packAdam(layout, initialAdam(initial));

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
        ...optimiser.update(gradients.vector, moments, parameters, tf.mul(speed, rate)),
      };
    },
    { inputs: { ...start.vectors, ...feeds }, constants: { data: target.data, speed } },
  );
  const draw =
    estimator.scores &&
    (await engine.compile(
      ({ vector, draws }) => ({
        w: q.draw(part('q', unpack(vector, layout)), draws).w,
      }),
      { inputs: { vector: start.vectors.parameters, draws: drawSpecs } },
    ));
  const result = { objective: f32([]), value: f32([]) };
  const descent = descend({
    buffers: [start, packAdam(layout)],
    from: 0,
    to: steps + (estimator.valued ? JUDGED : 0),
    compile: async () => ({ step }),
    async given(t, _, { vectors }) {
      noiseFor(drawSpecs, foldIn(key, 'draws', t), feeds.draws);
      noiseFor(noiseSpecs, foldIn(key, 'noise', t), feeds.noise);
      feeds.rate.data[0] = t > steps ? 0 : optimiser.rate(learningRate * falling(t, steps), t);
      if (draw && estimator.scores) {
        const { w } = await draw.run({ vector: vectors.parameters, draws: feeds.draws });
        feeds.scores.all!.data.set(estimator.scores(w.data as Float32Array, n, d));
      }
      return feeds;
    },
    results: result,
    objective: { name: 'objective', values: () => result.objective.data },
    subject: `${estimator.name} on ${target.name}`,
    signal,
    whenInterrupted: 'run it again',
  });
  const began = performance.now();
  let stepMilliseconds = 0;
  const judged: number[] = [];
  let { parameters } = start.state;
  try {
    for await (const { step, state } of descent) {
      if (step > steps) judged.push(result.value.data[0]);
      else {
        parameters = state.parameters;
        stepMilliseconds = (performance.now() - began) / step;
        progress?.();
      }
    }
  } finally {
    await draw?.release();
  }
  const claimed = estimator.valued ? meanOf(judged) : undefined;
  return { q, parameters: part('q', parameters), claimed, stepMilliseconds };
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
