// What a chain learns of its target while it warms up: a step size, and a scale for each dimension. Plain data that a
// checkpoint can hold. Equation numbers are those of docs/math.md.

/** Of Nesterov's dual averaging; `logStep` is for the next transition, `meanLogStep` for after the warm-up. */
export interface StepAdaptation {
  logStep: number;
  meanLogStep: number;
  /** Mean of wanted − found acceptance, recent ones weighing more. */
  error: number;
  /** log ε to begin with, which is drawn to. */
  anchor: number;
  count: number;
}

export const beginSteps = (logStep: number): StepAdaptation => ({
  ...{ logStep, meanLogStep: logStep, error: 0, count: 0, anchor: logStep },
});

/** (63), with the constants of Hoffman & Gelman (2014, section 3.2.1). */
export function adaptedSteps(
  { meanLogStep, error, anchor, count }: StepAdaptation,
  acceptance: number,
  wanted: number,
): StepAdaptation {
  const t = count + 1;
  const mean = error + (wanted - acceptance - error) / (t + 10);
  const logStep = anchor - (Math.sqrt(t) / 0.05) * mean;
  const weight = t ** -0.75;
  return {
    ...{ logStep, error: mean, anchor, count: t },
    meanLogStep: weight * logStep + (1 - weight) * meanLogStep,
  };
}

/** Running mean and sum of squared deviations of positions, [P] each (Welford 1962). */
export interface Moments {
  mean: Float32Array;
  squares: Float32Array;
  count: number;
}

export const noMoments = (size: number): Moments => ({
  ...{ mean: new Float32Array(size), squares: new Float32Array(size), count: 0 },
});

/** Adds a position, in place. */
export function addPosition(moments: Moments, position: Float32Array): void {
  const { mean, squares } = moments;
  moments.count++;
  for (let i = 0; i < mean.length; i++) {
    const deviation = position[i] - mean[i];
    mean[i] += deviation / moments.count;
    squares[i] += deviation * (position[i] - mean[i]);
  }
}

/** What the prior's variance counts for, in draws. */
const PRIOR_DRAWS = 5;

/** (64) Scales from the variances of draws, as if some more of variance 1, the prior's, had been seen; into `scale`. */
export function scaleFrom({ squares, count }: Moments, scale: Float32Array): void {
  for (let i = 0; i < scale.length; i++)
    scale[i] = Math.sqrt(
      (squares[i] * (count / Math.max(1, count - 1)) + PRIOR_DRAWS) / (count + PRIOR_DRAWS),
    );
}

/** Parts of the warm-up: steps alone; two windows that draws are looked at in, each ending in a new scale; steps alone. */
const WINDOWS = [0.1, 0.35, 0.8];

/** What is to be done after transition t = 1..warmUp: look at the position, make scales of what was seen. */
export function windowAt(t: number, warmUp: number): { looks: boolean; ends: boolean } {
  const [first, ...ends] = WINDOWS.map((part) => Math.floor(part * warmUp));
  return { looks: t > first && t <= ends.at(-1)!, ends: t > first && ends.includes(t) };
}
