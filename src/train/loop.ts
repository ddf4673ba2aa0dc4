// The loop of everything that is trained by gradients: one run of a compiled step after the other, between two sets of
// arrays, until the last step, an interruption or a number that is not finite.
import { StepError } from '../engine/index.js';
import { DwpError } from '../errors.js';

/** What a step takes from the one before and gives to the next; `state` is the same for others to see. */
export interface Carried<Vectors, State> {
  vectors: Vectors;
  state: State;
}

/** The compiled step of one stage of training, with what its inputs are made from. */
export interface Stage<Inputs, Results> {
  step: { run(inputs: Inputs, into: Results): Promise<unknown>; release(): Promise<void> };
}

export interface Descent<
  Vectors,
  State,
  Given,
  Results,
  S extends Stage<Vectors & Given, Vectors & Results>,
> {
  /** A step reads one set and writes the other. Training begins with the first. */
  buffers: readonly [Carried<Vectors, State>, Carried<Vectors, State>];
  /** Steps that are done. */
  from: number;
  /** Steps in the end. */
  to: number;
  /** Steps in one run of the compiled step, 1 unless given. */
  stepsPerRun?: number;
  /** Changes where step t belongs to another stage than the step before, which is then compiled anew. */
  stageOf?(t: number): unknown;
  /** The stage of step t; its compiled step is released here. */
  compile(t: number): Promise<S>;
  /** What the run that begins with step t is given besides the vectors. */
  given(t: number, stage: S, current: Carried<Vectors, State>): Given | Promise<Given>;
  /** Where the other results of a run are written. */
  results: Results;
  /** What has to stay finite, with its name for the error; nothing is looked at where it is left out. */
  objective?: { name: string; values(): ArrayLike<number> };
  /** Who is trained, for errors; nobody else is where it is left out. */
  subject?: string;
  signal?: AbortSignal;
  /** What to do after an interruption. */
  whenInterrupted?: string;
}

/**
 * Yields after each run. The arrays of a yielded state are written again by the run after the next: copy what has to
 * last longer. To stop early, leave the loop.
 * @throws DwpError DIVERGED when the objective is not finite or a result holds NaN, INTERRUPTED when the signal aborts
 */
export async function* descend<
  Vectors,
  State,
  Given,
  Results,
  S extends Stage<Vectors & Given, Vectors & Results>,
>(
  descent: Descent<Vectors, State, Given, Results, S>,
): AsyncGenerator<{ step: number; state: State }, void, void> {
  const { from, to, stepsPerRun = 1, results, objective, signal } = descent;
  const prefix = descent.subject ? `${descent.subject}, ` : '';
  const diverged = (step: number, what: string) =>
    new DwpError('DIVERGED', `${prefix}step ${step}: ${what}`, 'try a smaller --learning-rate');
  let [current, next] = descent.buffers;
  let stage: S | undefined;
  try {
    for (let t = from; t < to; ) {
      await new Promise((resolve) => setImmediate(resolve)); // where a step is not asynchronous, signals are heard here
      if (signal?.aborted)
        throw new DwpError('INTERRUPTED', `${prefix}interrupted after step ${t}`, descent.whenInterrupted);
      const first = t + 1;
      if (!stage || descent.stageOf?.(first) !== descent.stageOf?.(t)) {
        await stage?.step.release();
        stage = undefined; // not to be released twice where compiling fails
        stage = await descent.compile(first);
      }
      const given = await descent.given(first, stage, current);
      t += stepsPerRun;
      try {
        await stage.step.run({ ...current.vectors, ...given }, { ...results, ...next.vectors });
      } catch (error) {
        throw error instanceof StepError ? diverged(t, error.message) : error;
      }
      [current, next] = [next, current];
      const bad = Array.from(objective?.values() ?? []).find((value) => !Number.isFinite(value));
      if (bad !== undefined) throw diverged(t, `the ${objective?.name} became ${bad}`);
      yield { step: t, state: current.state };
    }
  } finally {
    await stage?.step.release();
  }
}
