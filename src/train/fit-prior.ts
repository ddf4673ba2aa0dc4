// Fitting a kernel prior: closed-form families at once, the others by Adam on their bound with early stopping.
import {
  type Engine,
  f32,
  foldIn,
  type Key,
  layoutOf,
  noiseFor,
  RandomStream,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import { DwpError } from '../errors.js';
import {
  type Arrays,
  type FitWork,
  type KernelPrior,
  type KernelSize,
  kernelLength,
  type Learner,
  type LearnerStart,
  type PriorFamily,
  type TrainingKernels,
} from '../priors/index.js';
import { requireSpread } from '../priors/parameters.js';
import { type AdamState, type AdamVectors, adam, initialAdam, packAdam } from './adam.js';
import { descend } from './loop.js';

export interface FitOptions {
  steps: number;
  batch: number;
  learningRate: number;
  /** Share of the training kernels that decides when to stop; they are not trained on. */
  validationFraction: number;
  /** Stop after this many validations without a better one. */
  patience: number;
  validateEvery: number;
}

export const defaultFit: FitOptions = {
  steps: 12_000,
  batch: 128,
  learningRate: 2e-3,
  validationFraction: 0.1,
  patience: 20,
  validateEvery: 100,
};

/** For a learner that starts from a fitted density: it has less to learn, and sooner nothing. */
export const refinement: FitOptions = { ...defaultFit, steps: 3000, patience: 8 };

export interface FitReport {
  steps: number;
  bestStep: number;
  /** Nats per kernel; the bound on validation kernels at the best step. */
  validationBound: number;
  trace: { step: number; trainBound: number; validationBound: number }[];
}

/** A fit after a validation: all that the steps to come depend on. */
export interface FitState {
  step: number;
  /** Validations since the best. */
  stale: number;
  best: { parameters: Arrays; validationBound: number; step: number };
  trace: FitReport['trace'];
  adam: AdamState;
}

export interface FitHooks {
  signal?: AbortSignal;
  /** Go on from here, with the same kernels, configuration, options and key: ends in the same bits. */
  resume?: FitState;
  /** Called after each validation; the arrays are those of the fit, and change when it goes on. */
  save?(state: FitState): void;
  progress?(step: number, steps: number, detail: string): void;
}

/** The options of a fit, with the family's defaults where nothing is given. */
export function fitSettings<C extends Record<string, unknown>>(
  { fit }: PriorFamily<C>,
  config: C,
  given: Partial<FitOptions> = {},
): FitOptions {
  const start = fit.kind === 'gradient' ? fit.startsFrom?.(config) : undefined;
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...(start ? refinement : defaultFit), ...Object.fromEntries(set) };
}

/** What is fitted to what. */
export interface PriorFit<C extends Record<string, unknown>> {
  family: PriorFamily<C>;
  kernels: TrainingKernels;
  /** What differs from the family's defaults. */
  config?: Partial<C>;
  /** What differs from {@link fitSettings}. */
  options?: Partial<FitOptions>;
  engine: Engine;
  key: Key;
}

/**
 * Fits what `dwp fit-prior --seed s` fits with the key foldIn(seedKey(s), 'fit').
 * @returns the fitted prior and, for families learned by gradients, how the fit went
 * @throws DwpError INPUT for fewer than three kernels or equal ones, DIVERGED when the bound becomes NaN, INTERRUPTED when `hooks.signal` aborts
 */
export async function fitPrior<C extends Record<string, unknown>>(
  { family, kernels, config: givenConfig = {}, options: givenOptions, engine, key }: PriorFit<C>,
  hooks: FitHooks = {},
): Promise<{ prior: KernelPrior; report?: FitReport }> {
  const config = family.config.parse(givenConfig);
  const options = fitSettings(family, config, givenOptions);
  const { channels = 1, h, w } = kernels;
  const size: KernelSize = { h, w, ...(channels > 1 && { channels }) };
  if (family.fit.kind === 'closed-form')
    return { prior: family.prior(size, config, family.fit.parameters(kernels, config)) };
  requireSpread(kernels);
  if (family.fit.kind === 'iterative') {
    const work = { engine, tick: tickOf(hooks, options) };
    const parameters = await family.fit.parameters(kernels, config, key, work);
    return { prior: family.prior(size, config, parameters) };
  }
  const { parameters, report } = await learn(
    { learner: family.fit, kernels, config, options, engine, key },
    hooks,
  );
  return { prior: family.prior(size, config, parameters), report };
}

/** What is fitted to what, and how. */
interface Fit<C> {
  learner: Learner<C>;
  kernels: TrainingKernels;
  config: C;
  options: FitOptions;
  engine: Engine;
  key: Key;
}

type Validation = Awaited<ReturnType<typeof boundStep>>;

async function learn<C>(fit: Fit<C>, hooks: FitHooks): Promise<{ parameters: Arrays; report: FitReport }> {
  const { learner, kernels, config, options, key } = fit;
  const rows = splitRows(fit);
  const seen = rowsOf(kernels, rows.train.subarray(0, START_ROWS));
  const work = { engine: fit.engine, tick: tickOf(hooks, options) };
  const prepared = await learner.prepare?.(seen, config, foldIn(key, 'prepare'), work);
  const start = learner.initial(seen, config, foldIn(key, 'initial'), prepared);
  if (hooks.resume) requireArrays(hooks.resume, start.trainable);
  const validation = await boundStep(fit, start, rows.validation);
  try {
    const { steps, best, trace } = await improve(fit, start, rows.train, validation, hooks);
    const isPrepared = prepared !== undefined && Object.keys(prepared).length > 0;
    const kept = isPrepared ? await betterThanStart(fit, start.trainable, best, validation) : best;
    return {
      parameters: { ...kept.parameters, ...start.fixed },
      report: { steps, bestStep: kept.step, validationBound: kept.validationBound, trace },
    };
  } finally {
    await validation.release();
  }
}

/** Steps until validations do not improve any more, or the last. */
async function improve<C>(
  fit: Fit<C>,
  start: LearnerStart,
  trainRows: Int32Array,
  validation: Validation,
  { signal, progress, resume, save }: FitHooks,
): Promise<{ steps: number; best: FitState['best']; trace: FitReport['trace'] }> {
  const { options, key } = fit;
  const { trainable } = start;
  const layout = layoutOf(trainable);
  const first = packAdam(layout, resume?.adam ?? initialAdam(trainable));
  const feeds = emptyFeeds(fit, start, trainRows);
  const step = await compiledSteps(fit, start, feeds);
  const validationKey = foldIn(key, 'validation noise');
  const boundOf = async (parameters: Arrays) => (await validation.bound(parameters, validationKey)).mean;
  let best = resume?.best ?? { parameters: trainable, validationBound: await boundOf(trainable), step: 0 };
  const trace = [...(resume?.trace ?? [])];
  let stale = resume?.stale ?? 0;
  let steps = resume?.step ?? 0;
  let sum = 0;
  const bounds = f32([feeds.length]);
  const fill = feedFiller(fit, feeds, trainRows, steps);
  const descent = descend({
    buffers: [first, packAdam(layout)],
    from: steps,
    to: stale < options.patience ? options.steps : steps,
    stepsPerRun: feeds.length,
    compile: async () => ({ step }),
    given(t) {
      fill(t);
      return { steps: feeds };
    },
    results: { bounds },
    objective: { name: 'bound', values: () => bounds.data },
    signal,
    whenInterrupted: 'run the command again',
  });
  for await (const { step: t, state } of descent) {
    steps = t;
    sum = bounds.data.reduce((total, bound) => total + bound, sum);
    if (t % options.validateEvery !== 0 && t !== options.steps) continue;
    const validationBound = await boundOf(state.parameters);
    const trainBound = sum / (t % options.validateEvery || options.validateEvery);
    sum = 0;
    trace.push({ step: t, trainBound, validationBound });
    if (validationBound > best.validationBound) {
      best = { parameters: copyOf(state.parameters), validationBound, step: t };
      stale = 0;
    } else stale++;
    save?.({ step: t, stale, best, trace, adam: state });
    const [train, held] = [trainBound, validationBound].map((x) => x.toFixed(2));
    progress?.(t, options.steps, `bound ${train} train, ${held} validation nats`);
    if (stale >= options.patience) break;
  }
  return { steps, best, trace };
}

const optimiser = adam();

/** What each step of a run is given: kernels [n, d], noise, rows that are drawn anew, learning rate. */
type Feeds = ReturnType<typeof emptyFeeds>;

function emptyFeeds<C>(
  { learner, kernels, config, options, key }: Fit<C>,
  { resampled = {} }: LearnerStart,
  trainRows: Int32Array,
) {
  const d = kernelLength(kernels);
  const batch = Math.min(options.batch, trainRows.length);
  const noiseSpecs = learner.noise(batch, config, kernels);
  return Array.from({ length: stepsInRun(options) }, () => ({
    w: f32([batch, d]),
    noise: noiseFor(noiseSpecs, key),
    resampled: Object.fromEntries(Object.entries(resampled).map(([name, rows]) => [name, f32([rows, d])])),
    rate: f32([]),
  }));
}

/** Fills the feeds for the run that begins with step t. To be called for all runs in order, `stepsDone` and more. */
function feedFiller<C>(
  fit: Fit<C>,
  feeds: Feeds,
  trainRows: Int32Array,
  stepsDone: number,
): (t: number) => void {
  const { learner, kernels, config, options, key } = fit;
  const [batch] = feeds[0].w.shape;
  const noiseSpecs = learner.noise(batch, config, kernels);
  const nextBatch = batches(fit, trainRows, batch, stepsDone);
  return (t) => {
    for (const [i, { w, noise, resampled, rate }] of feeds.entries()) {
      nextBatch(w.data);
      for (const [name, { data }] of Object.entries(resampled))
        drawRows(kernels, trainRows, data, new RandomStream(foldIn(key, 'resampled', name, t + i)));
      noiseFor(noiseSpecs, foldIn(key, 'noise', t + i), noise);
      rate.data[0] = optimiser.rate(schedule(options, t + i), t + i);
    }
  };
}

/** Steps of Adam, one for each of the feeds, up the mean of the learner's bound; `bounds` are nats per kernel. */
function compiledSteps<C>(
  { learner, kernels, config, engine }: Fit<C>,
  { trainable, fixed }: LearnerStart,
  feeds: Feeds,
) {
  const layout = layoutOf(trainable);
  return engine.compile(
    ({ parameters, moments, steps }, fixed) => {
      let state: AdamVectors<tf.Tensor> = { parameters, moments };
      const bounds = steps.map(({ w, noise, resampled, rate }) => {
        const { objective, gradients } = valueAndGradients(
          ({ vector }) => {
            const all = { ...unpack(vector, layout), ...fixed, ...resampled };
            const bound = learner.bound(all, w, noise, kernels, config);
            return { objective: tf.neg(tf.mean(bound)) as tf.Scalar, aux: {} };
          },
          { vector: state.parameters },
        );
        state = optimiser.update(gradients.vector, state.moments, state.parameters, rate);
        return tf.neg(objective);
      });
      return { bounds: tf.stack(bounds), ...state };
    },
    { inputs: { ...packAdam(layout).vectors, steps: feeds }, constants: fixed },
  );
}

/** Where learning starts from a fitted density: the best parameters, if they are better than that by more than chance. */
async function betterThanStart<C>(
  { key }: Fit<C>,
  trainable: Arrays,
  best: FitState['best'],
  validation: Validation,
): Promise<FitState['best']> {
  if (best.step === 0) return best;
  const validationKey = foldIn(key, 'validation noise');
  const before = await validation.bound(trainable, validationKey);
  const after = await validation.bound(best.parameters, validationKey);
  return roseSignificantly(before.rows, after.rows)
    ? best
    : { parameters: trainable, validationBound: before.mean, step: 0 };
}

/** Row numbers of the kernels that are trained on, and of those that decide when to stop. */
function splitRows<C>({ kernels, options, key }: Fit<C>): { train: Int32Array; validation: Int32Array } {
  const order = new RandomStream(foldIn(key, 'validation')).permutation(kernels.count);
  const wanted = Math.min(MOST_VALIDATION, Math.round(kernels.count * options.validationFraction));
  const count = Math.max(1, wanted);
  return { train: order.subarray(count), validation: order.subarray(0, count) };
}

/** Gives one batch [n, d] after the other: every row once in each epoch, in an order of that epoch. */
function batches<C>(
  { kernels, key }: Fit<C>,
  rows: Int32Array,
  batch: number,
  stepsDone: number,
): (into: Float32Array) => void {
  const d = kernelLength(kernels);
  const orderOf = (epoch: number) =>
    new RandomStream(foldIn(key, 'epoch', epoch)).permutation(rows.length).map((j) => rows[j]);
  const seen = stepsDone * batch;
  let epoch = Math.ceil(seen / rows.length); // that comes next
  let order = epoch > 0 ? orderOf(epoch - 1) : rows;
  let at = seen - (epoch - 1) * rows.length;
  return (into) => {
    for (let i = 0; i < batch; i++, at++) {
      if (at >= rows.length) {
        order = orderOf(epoch++);
        at = 0;
      }
      into.set(kernels.data.subarray(order[at] * d, (order[at] + 1) * d), i * d);
    }
  };
}

/** Fills [n, d] with rows that are drawn with replacement. */
function drawRows(
  kernels: TrainingKernels,
  rows: Int32Array,
  into: Float32Array,
  stream: RandomStream,
): void {
  const d = kernelLength(kernels);
  for (let i = 0; i < into.length; i += d) {
    const row = rows[stream.integer(rows.length)];
    into.set(kernels.data.subarray(row * d, (row + 1) * d), i);
  }
}

/** Validation kernels are a share of the kernels, and never more than this. */
const MOST_VALIDATION = 1000;

/** Lets others run between parts of a long computation, and ends it when the user wants to. */
const tickOf =
  ({ signal, progress }: FitHooks, { steps }: FitOptions): FitWork['tick'] =>
  async (detail) => {
    progress?.(0, steps, detail);
    await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted) throw new DwpError('INTERRUPTED', 'fit interrupted', 'run the command again');
  };

/** Training kernels that a learner may look at before it starts: enough for its scale and first points. */
const START_ROWS = 100_000;

function rowsOf(kernels: TrainingKernels, rows: Int32Array): TrainingKernels {
  const { data } = kernels;
  const d = kernelLength(kernels);
  const chosen = new Float32Array(rows.length * d);
  rows.forEach((row, i) => {
    chosen.set(data.subarray(row * d, (row + 1) * d), i * d);
  });
  return { ...kernels, data: chosen, count: rows.length };
}

/**
 * Steps of Adam in one run of the compiled graph, up to four: they are so small that starting a run is a third of
 * one. A run must end where a validation is due.
 */
const stepsInRun = ({ steps, validateEvery }: FitOptions): number =>
  [4, 2].find((k) => steps % k === 0 && (validateEvery % k === 0 || validateEvery >= steps)) ?? 1;

/** @throws DwpError INPUT when a state is not one of this fit */
function requireArrays({ best, adam: { parameters, moments } }: FitState, expected: Arrays): void {
  for (const arrays of [best.parameters, parameters, moments.first, moments.second])
    for (const [name, { shape }] of Object.entries(expected))
      if (`${arrays[name]?.shape}` !== `${shape}` || !arrays[name].data.every(Number.isFinite))
        throw new DwpError('INPUT', `${name} of the state is not that of this fit`, 'start the fit again');
}

const copyOf = (arrays: Arrays): Arrays =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );

/** Constant, then falling linearly to a twentieth over the second half. */
const schedule = ({ learningRate, steps }: FitOptions, t: number): number =>
  learningRate * Math.min(1, Math.max(0.05, 2 * (1 - t / steps)));

const VALIDATION_SAMPLES = 8;
/** Standard errors by which a fit must be above a fitted density that it starts from. */
const STANDARD_ERRORS = 2;

/** Whether bounds of the same kernels rose by more than chance; false for a single kernel. */
export function roseSignificantly(before: Float64Array, after: Float64Array): boolean {
  const n = before.length;
  const gains = after.map((x, i) => x - before[i]);
  const mean = gains.reduce((sum, x) => sum + x, 0) / n;
  const variance = gains.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1);
  return mean > STANDARD_ERRORS * Math.sqrt(variance / n);
}

async function boundStep<C>(
  { learner, kernels, config, engine }: Fit<C>,
  { trainable, fixed }: LearnerStart,
  rows: Int32Array,
) {
  const d = kernelLength(kernels);
  const w = f32([rows.length, d], rowsOf(kernels, rows).data);
  const specs = learner.noise(rows.length, config, kernels);
  const step = await engine.compile(
    ({ parameters, noise }, { w, fixed }) => {
      const bounds = learner.bound({ ...parameters, ...fixed }, w, noise, kernels, config);
      return { mean: tf.mean(bounds), bounds };
    },
    { inputs: { parameters: trainable, noise: specs }, constants: { fixed, w } },
  );
  return {
    /** Bound of each row, and its mean, with the same noise each time so that validations compare. */
    async bound(parameters: Arrays, key: Key): Promise<{ mean: number; rows: Float64Array }> {
      let sum = 0;
      const each = new Float64Array(rows.length);
      for (let i = 0; i < VALIDATION_SAMPLES; i++) {
        const { mean, bounds } = await step.run({
          parameters,
          noise: noiseFor(specs, foldIn(key, i)),
        });
        sum += mean.data[0];
        for (let j = 0; j < each.length; j++) each[j] += bounds.data[j] / VALIDATION_SAMPLES;
      }
      return { mean: sum / VALIDATION_SAMPLES, rows: each };
    },
    release: () => step.release(),
  };
}
