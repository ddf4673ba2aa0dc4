// Fitting a kernel prior: closed-form families at once, the others by Adam on their bound with early stopping.
import {
  type Engine,
  f32,
  foldIn,
  type Key,
  layoutOf,
  noiseFor,
  RandomStream,
  StepError,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import { DwpError } from '../errors.js';
import {
  type Arrays,
  type KernelPrior,
  type KernelSize,
  kernelLength,
  type Learner,
  type PriorFamily,
  type Tick,
  type TrainingKernels,
} from '../priors/index.js';
import { requireSpread } from '../priors/parameters.js';
import { type AdamState, type AdamVectors, adam, correctedRate, initialAdam, packAdam } from './adam.js';

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

/**
 * @returns the fitted prior and, for families learned by gradients, how the fit went
 * @throws DwpError INPUT for fewer than three kernels or equal ones, DIVERGED when the bound becomes NaN, INTERRUPTED when `hooks.signal` aborts
 */
export async function fitPrior<C extends Record<string, unknown>>(
  family: PriorFamily<C>,
  kernels: TrainingKernels,
  config: C,
  options: FitOptions,
  engine: Engine,
  key: Key,
  hooks: FitHooks = {},
): Promise<{ prior: KernelPrior; report?: FitReport }> {
  const { channels = 1, h, w } = kernels;
  const size: KernelSize = { h, w, ...(channels > 1 && { channels }) };
  if (family.fit.kind === 'closed-form')
    return { prior: family.prior(size, config, family.fit.parameters(kernels, config)) };
  requireSpread(kernels);
  if (family.fit.kind === 'iterative') {
    const parameters = await family.fit.parameters(kernels, config, key, tickOf(hooks, options));
    return { prior: family.prior(size, config, parameters) };
  }
  const { parameters, report } = await learn(family.fit, kernels, config, options, engine, key, hooks);
  return { prior: family.prior(size, config, parameters), report };
}

async function learn<C>(
  learner: Learner<C>,
  kernels: TrainingKernels,
  config: C,
  options: FitOptions,
  engine: Engine,
  key: Key,
  hooks: FitHooks,
): Promise<{ parameters: Arrays; report: FitReport }> {
  const { signal, progress, resume, save } = hooks;
  const d = kernelLength(kernels);
  const order = new RandomStream(foldIn(key, 'validation')).permutation(kernels.count);
  const validationCount = Math.max(
    1,
    Math.min(MOST_VALIDATION, Math.round(kernels.count * options.validationFraction)),
  );
  const validationRows = order.subarray(0, validationCount);
  const trainRows = order.subarray(validationCount);
  const batch = Math.min(options.batch, trainRows.length);
  const start = rowsOf(kernels, trainRows.subarray(0, START_ROWS));
  const prepared = await learner.prepare?.(start, config, foldIn(key, 'prepare'), tickOf(hooks, options));
  const first = learner.initial(start, config, foldIn(key, 'initial'), prepared);
  const { trainable, fixed, resampled = {} } = first;

  const layout = layoutOf(trainable);
  const noiseSpecs = learner.noise(batch, config, kernels);
  const perRun = stepsPerRun(options);
  /** Per step of a run: kernels, noise and learning rate. */
  const feeds = Array.from({ length: perRun }, () => ({
    w: f32([batch, d]),
    noise: noiseFor(noiseSpecs, key),
    resampled: Object.fromEntries(Object.entries(resampled).map(([name, rows]) => [name, f32([rows, d])])),
    rate: f32([]),
  }));
  if (resume) requireArrays(resume, trainable);
  let current = packAdam(layout, resume?.adam ?? initialAdam(trainable));
  let next = packAdam(layout);
  const fit = await engine.compile(
    (inputs, fixed) => {
      let state: AdamVectors<tf.Tensor> = { parameters: inputs.parameters, moments: inputs.moments };
      const bounds = inputs.steps.map(({ w, noise, resampled, rate }) => {
        const { objective, gradients } = valueAndGradients(
          ({ vector }) => {
            const parameters = { ...unpack(vector, layout), ...fixed, ...resampled };
            const bound = learner.bound(parameters, w, noise, kernels, config);
            return { objective: tf.neg(tf.mean(bound)) as tf.Scalar, aux: {} };
          },
          { vector: state.parameters },
        );
        state = adam(state.parameters, gradients.vector, state.moments, rate);
        return tf.neg(objective);
      });
      return { bounds: tf.stack(bounds), ...state };
    },
    { inputs: { ...current.vectors, steps: feeds }, constants: fixed },
  );
  const validation = await boundStep(learner, kernels, config, engine, trainable, fixed, validationRows);

  let best = { parameters: trainable, validationBound: Number.NEGATIVE_INFINITY, step: 0 };
  const report: FitReport = { steps: 0, bestStep: 0, validationBound: Number.NEGATIVE_INFINITY, trace: [] };
  const bounds = f32([perRun]);
  const orderOf = (epoch: number) =>
    new RandomStream(foldIn(key, 'epoch', epoch)).permutation(trainRows.length).map((j) => trainRows[j]);
  const seen = (resume?.step ?? 0) * batch;
  let epoch = Math.ceil(seen / trainRows.length); // that comes next
  let epochOrder = epoch > 0 ? orderOf(epoch - 1) : trainRows;
  let at = seen - (epoch - 1) * trainRows.length;
  function nextBatch(into: Float32Array): void {
    for (let i = 0; i < batch; i++, at++) {
      if (at >= trainRows.length) {
        epochOrder = orderOf(epoch++);
        at = 0;
      }
      const row = epochOrder[at];
      into.set(kernels.data.subarray(row * d, (row + 1) * d), i * d);
    }
  }
  function drawRows(into: Float32Array, stream: RandomStream): void {
    for (let i = 0; i < into.length; i += d) {
      const row = trainRows[stream.integer(trainRows.length)];
      into.set(kernels.data.subarray(row * d, (row + 1) * d), i);
    }
  }
  let sum = 0;
  let stale = resume?.stale ?? 0;
  if (resume) {
    best = resume.best;
    Object.assign(report, { steps: resume.step, trace: [...resume.trace] });
  }
  const atStart = { parameters: trainable, validationBound: Number.NEGATIVE_INFINITY, step: 0 };
  const validationKey = foldIn(key, 'validation noise');
  try {
    if (!resume) best.validationBound = (await validation.bound(trainable, validationKey)).mean;
    for (let t = resume?.step ?? 0; t < options.steps && stale < options.patience; ) {
      if (signal?.aborted)
        throw new DwpError('INTERRUPTED', `fit interrupted at step ${t}`, 'run the command again');
      for (const { w, noise, resampled, rate } of feeds) {
        t++;
        nextBatch(w.data);
        for (const [name, { data }] of Object.entries(resampled))
          drawRows(data, new RandomStream(foldIn(key, 'resampled', name, t)));
        noiseFor(noiseSpecs, foldIn(key, 'noise', t), noise);
        rate.data[0] = correctedRate(schedule(options, t), t);
      }
      try {
        await fit.run({ ...current.vectors, steps: feeds }, { bounds, ...next.vectors });
      } catch (error) {
        throw error instanceof StepError ? diverged(t, error.message) : error;
      }
      [current, next] = [next, current];
      for (let i = 0; i < perRun; i++) {
        const bound = bounds.data[i];
        if (!Number.isFinite(bound)) throw diverged(t, `the bound became ${bound}`);
        sum += bound;
      }
      report.steps = t;
      if (t % options.validateEvery !== 0 && t !== options.steps) continue;
      const { mean: validationBound } = await validation.bound(current.state.parameters, validationKey);
      const trainBound = sum / (t % options.validateEvery || options.validateEvery);
      sum = 0;
      report.trace.push({ step: t, trainBound, validationBound });
      if (validationBound > best.validationBound) {
        best = { parameters: copyOf(current.state.parameters), validationBound, step: t };
        stale = 0;
      } else stale++;
      save?.({ step: t, stale, best, trace: report.trace, adam: current.state });
      progress?.(
        t,
        options.steps,
        `bound ${trainBound.toFixed(2)} train, ${validationBound.toFixed(2)} validation nats`,
      );
    }
    if (prepared && Object.keys(prepared).length > 0 && best.step > 0) {
      const before = await validation.bound(trainable, validationKey);
      const after = await validation.bound(best.parameters, validationKey);
      if (!surely(before.rows, after.rows)) best = { ...atStart, validationBound: before.mean };
    }
  } finally {
    await Promise.all([fit.release(), validation.release()]);
  }
  report.bestStep = best.step;
  report.validationBound = best.validationBound;
  return { parameters: { ...best.parameters, ...fixed }, report };
}

/** Validation kernels are a share of the kernels, and never more than this. */
const MOST_VALIDATION = 1000;

/** Lets others run between parts of a long computation, and ends it when the user wants to. */
const tickOf =
  ({ signal, progress }: FitHooks, { steps }: FitOptions): Tick =>
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
const stepsPerRun = ({ steps, validateEvery }: FitOptions): number =>
  [4, 2].find((k) => steps % k === 0 && (validateEvery % k === 0 || validateEvery >= steps)) ?? 1;

const diverged = (step: number, what: string) =>
  new DwpError('DIVERGED', `step ${step}: ${what}`, 'try a smaller --learning-rate');

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
const SURE = 2;

/** Whether bounds of the same kernels rose by more than chance; of one kernel nobody can tell. */
export function surely(before: Float64Array, after: Float64Array): boolean {
  const n = before.length;
  const gains = after.map((x, i) => x - before[i]);
  const mean = gains.reduce((sum, x) => sum + x, 0) / n;
  const variance = gains.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1);
  return mean > SURE * Math.sqrt(variance / n);
}

async function boundStep<C>(
  learner: Learner<C>,
  kernels: TrainingKernels,
  config: C,
  engine: Engine,
  trainable: Arrays,
  fixed: Arrays,
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
