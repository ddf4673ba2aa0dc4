// Networks drawn from their posterior by Markov chains, resumable at any step, bit for bit: the reference that variational
// posteriors can be measured against.
import { BatchOrder, type ImageSet } from '../data/index.js';
import { type Engine, foldIn, type Key, RandomStream, StepError } from '../engine/index.js';
import { DwpError } from '../errors.js';
import {
  adaptedSteps,
  addPosition,
  beginSteps,
  cyclicalStep,
  frictionMove,
  hamiltonianMove,
  langevinMove,
  type Moments,
  noMoments,
  type Point,
  type StepAdaptation,
  scaleFrom,
  windowAt,
} from '../mcmc/index.js';
import { partOfLayers } from '../network/index.js';
import type { Arrays } from '../priors/index.js';
import { type NetworkTarget, networkTarget, type SampledModel } from './network-target.js';

/** Hamiltonian Monte Carlo on all examples; Langevin dynamics and HMC with friction on mini-batches. */
export const SAMPLERS = ['hmc', 'sgld', 'sghmc'] as const;
export type SamplerName = (typeof SAMPLERS)[number];

export interface SamplingOptions {
  method: SamplerName;
  /** Transitions of each chain. */
  steps: number;
  chains: number;
  /** Networks that are kept of each chain. */
  kept: number;
  /** Examples of a step of sgld and sghmc. */
  batch: number;
  /** The law is p(W) p(𝒟|W)^(1/T). */
  temperature: number;
  /** Of hmc: where adaptation begins. Of the others: the largest of a cycle, found in their warm-up where it is left out. */
  stepSize?: number;
  leapfrog: number;
  cycles: number;
}

/** What a chain carries from step to step. */
export interface ChainPlace {
  position: Float32Array; // u, [P]
  momentum: Float32Array; // of sghmc, [P]
  /** Of hmc: units of the step size, [P]. */
  scale: Float32Array;
  /** Of hmc: of the present window of the warm-up. */
  moments: Moments;
  step: StepAdaptation;
}

export interface SamplingState {
  step: number;
  places: ChainPlace[];
}

/** What is recorded of a chain in the part of its steps that counts. */
export interface Observation {
  chain: number;
  step: number;
  /** Nats, or norms: by name. */
  values: Record<string, number>;
  /** Of hmc. */
  acceptance?: number;
}

export interface SamplingHooks {
  signal?: AbortSignal;
  observed?(observation: Observation): void;
  /** Network number k · chains + chain, k = 0, 1, … */
  sampled?(number: number, parameters: Arrays): void;
  stepped?(state: SamplingState, detail: string): void;
}

const ACCEPTANCE = 0.8;
const OBSERVATIONS = 200;
const INITIAL_STEP = 0.02;
/** Leapfrog steps of a transition that sgld and sghmc find their step size with. */
const TRIAL = 5;

/** Transitions that adapt: half of hmc's, a twentieth of the others' where no step size is given. */
const warmUpOf = ({ method, steps, stepSize }: SamplingOptions): number =>
  Math.floor(method === 'hmc' ? steps / 2 : stepSize === undefined ? steps / 20 : 0);

/** Step size of sgld and sghmc after their warm-up, and whether draws of the step count. */
const cycleAt = (options: SamplingOptions, t: number, largest: number) => {
  const warmUp = warmUpOf(options);
  return cyclicalStep(t - warmUp, options.steps - warmUp, options.cycles, largest);
};

/** Whether draws of step t count: the second half of hmc, the end of each cycle of the others. */
const counts = (options: SamplingOptions, t: number): boolean =>
  t > warmUpOf(options) && (options.method === 'hmc' || cycleAt(options, t, 1).sampled);

/** So many of the steps that count, evenly spread. */
export function spread(options: SamplingOptions, most: number): number[] {
  const all = Array.from({ length: options.steps }, (_, i) => i + 1).filter((t) => counts(options, t));
  const n = Math.min(most, all.length);
  return Array.from({ length: n }, (_, i) => all[Math.floor(((i + 1) * all.length) / n) - 1]);
}

/** Chains begin at draws of the prior. */
export const initialChains = (
  size: number,
  { chains, stepSize }: SamplingOptions,
  key: Key,
): SamplingState => ({
  step: 0,
  places: Array.from({ length: chains }, (_, c) => ({
    position: new RandomStream(foldIn(key, 'start', c)).fillNormal(new Float32Array(size)),
    momentum: new RandomStream(foldIn(key, 'start', c, 'momentum')).fillNormal(new Float32Array(size)),
    scale: new Float32Array(size).fill(1),
    moments: noMoments(size),
    step: beginSteps(Math.log(stepSize ?? INITIAL_STEP)),
  })),
});

/** What is sampled, given what data, and from where. */
export interface NetworkSampling {
  model: SampledModel;
  images: ImageSet;
  /** Rows of `images` that are the data. */
  rows: Int32Array;
  /** Images of which the first few predictions are observed. */
  judged: ImageSet;
  options: SamplingOptions;
  engine: Engine;
  key: Key;
  /** The beginning unless given. */
  from?: SamplingState;
}

/**
 * Continues to `options.steps`.
 * @throws DwpError DIVERGED when a chain runs away; INTERRUPTED when `hooks.signal` aborts
 */
export async function sampleNetwork(
  sampling: NetworkSampling,
  hooks: SamplingHooks = {},
): Promise<SamplingState> {
  const { model, images, judged, options, engine, key } = sampling;
  const target = await networkTarget(model, images, judged, engine);
  try {
    return await walk(target, sampling, sampling.from ?? initialChains(target.size, options, key), hooks);
  } catch (error) {
    throw error instanceof StepError ? diverged(error.message) : error;
  } finally {
    await target.release();
  }
}

const diverged = (what: string) =>
  new DwpError('DIVERGED', what, 'try a smaller --step-size, or a prior that is less wide');

async function walk(
  target: NetworkTarget,
  { rows, options, key }: NetworkSampling,
  state: SamplingState,
  hooks: SamplingHooks,
): Promise<SamplingState> {
  const { method, steps, temperature } = options;
  const warmUp = warmUpOf(options);
  const kept = spread(options, options.kept);
  const observed = new Set(spread(options, OBSERVATIONS));
  const scratch = new Float32Array(target.size);
  let likelihood = Number.NaN; // of the last evaluation
  /** log p(𝒟|u)/T + log N(u | 0, I) up to a constant, from some rows of all. */
  const evaluate = async (u: Float32Array, gradient: Float32Array, some = rows): Promise<number> => {
    const scale = rows.length / some.length / temperature;
    likelihood = (await target.logLikelihood(u, some, gradient)) * (rows.length / some.length);
    let squares = 0;
    for (let i = 0; i < u.length; i++) {
      squares += u[i] * u[i];
      gradient[i] = scale * gradient[i] - u[i];
    }
    return likelihood / temperature - 0.5 * squares;
  };
  const pointAt = async (position: Float32Array, some = rows): Promise<Point> => {
    const gradient = new Float32Array(target.size);
    return { position, logDensity: await evaluate(position, gradient, some), gradient };
  };

  const places = state.places.map((place) => ({ ...place }));
  const points: Point[] = [];
  if (method === 'hmc') for (const { position } of places) points.push(await pointAt(position));
  const likelihoods = places.map(() => Number.NaN);
  const orders = places.map((_, c) => new BatchOrder(rows.length, options.batch, foldIn(key, 'batches', c)));

  let step = state.step;
  while (step < steps) {
    if (hooks.signal?.aborted) throw new DwpError('INTERRUPTED', `interrupted after step ${step}`);
    const t = step + 1;
    for (const [c, place] of places.entries()) {
      const stream = new RandomStream(foldIn(key, 'chain', c, t));
      let acceptance: number | undefined;
      if (method === 'hmc') {
        const { logStep } = place.step;
        // from half to one and a half times as long: no trajectory closes on itself (Neal 2011, section 5.3.2)
        const length = Math.ceil(options.leapfrog / 2) + stream.integer(options.leapfrog + 1);
        const moved = await hamiltonianMove(
          evaluate,
          points[c],
          Math.exp(logStep),
          place.scale,
          length,
          stream,
        );
        acceptance = moved.acceptance;
        if (moved.point !== points[c]) likelihoods[c] = likelihood;
        points[c] = moved.point;
        place.position = moved.point.position;
        if (t <= warmUp) adapt(place, acceptance, t, warmUp);
      } else {
        const some = orders[c].rows(step).map((i) => rows[i]);
        if (t <= warmUp) {
          const length = Math.exp(place.step.logStep);
          const of = (u: Float32Array, gradient: Float32Array) => evaluate(u, gradient, some);
          const start = await pointAt(place.position, some);
          const moved = await hamiltonianMove(of, start, length, place.scale, TRIAL, stream);
          place.position = moved.point.position;
          place.step = adaptedSteps(place.step, moved.acceptance, ACCEPTANCE);
          if (t === warmUp) place.step.logStep = place.step.meanLogStep;
        } else {
          const { stepSize } = cycleAt(options, t, Math.exp(place.step.logStep));
          await evaluate(place.position, scratch, some);
          if (method === 'sgld') langevinMove(place.position, scratch, stepSize, stream);
          else frictionMove(place.position, place.momentum, scratch, stepSize, stream);
        }
        likelihoods[c] = likelihood;
      }
      if (!place.position.every(Number.isFinite)) throw diverged(`step ${t}: chain ${c + 1} ran away`);
      const number = kept.indexOf(t);
      if (!observed.has(t) && number < 0) continue;
      const { parameters, heldOut } = await target.observe(place.position);
      if (number >= 0) hooks.sampled?.(number * places.length + c, parameters);
      if (observed.has(t)) {
        await evaluate(place.position, scratch); // of all examples
        hooks.observed?.({
          ...{ chain: c, step: t, values: functionsOf(likelihood, parameters, heldOut) },
          ...(acceptance !== undefined && { acceptance }),
        });
      }
    }
    step = t;
    hooks.stepped?.({ step, places }, detailOf(likelihoods, rows.length));
  }
  return { step, places };
}

/** Step size and, at the ends of windows, scales; after the warm-up neither changes. */
function adapt(place: ChainPlace, acceptance: number, t: number, warmUp: number): void {
  place.step = adaptedSteps(place.step, acceptance, ACCEPTANCE);
  const { looks, ends } = windowAt(t, warmUp);
  if (looks) addPosition(place.moments, place.position);
  if (ends) {
    scaleFrom(place.moments, place.scale);
    place.moments = noMoments(place.scale.length);
    place.step = beginSteps(place.step.meanLogStep);
  }
  if (t === warmUp) place.step.logStep = place.step.meanLogStep;
}

/** What R̂ and effective sample size are computed of. */
function functionsOf(
  logLikelihood: number,
  parameters: Arrays,
  heldOut: Float32Array,
): Record<string, number> {
  const norms = Object.entries(partOfLayers(parameters, 'mean')).map(
    ([layer, { data }]): [string, number] => [`norm of ${layer}`, norm(data)],
  );
  return {
    'log-likelihood': logLikelihood,
    ...Object.fromEntries(norms),
    ...Object.fromEntries(Array.from(heldOut, (x, i) => [`log p of judged image ${i}`, x])),
  };
}

function norm(data: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < data.length; i++) squares += data[i] * data[i];
  return Math.sqrt(squares);
}

const detailOf = (likelihoods: readonly number[], examples: number): string => {
  const known = likelihoods.filter(Number.isFinite);
  if (known.length === 0) return '';
  const mean = known.reduce((a, b) => a + b, 0) / known.length;
  return `log-likelihood ${(mean / examples).toFixed(3)} nats per example`;
};
