// What a step function may not do, and how a breach is told: with the operation and the line that called it.
import { fileURLToPath } from 'node:url';
import { dtypeOf, leaves, type NdArray, sizeOf, type TensorSpec } from './tree.js';

/** A step function broke the contract of the engine, or its result is not a number. */
export class StepError extends Error {
  override name = 'StepError';
  constructor(
    message: string,
    /** TensorFlow.js's name of the operation, where one is at fault. */
    readonly operation?: string,
    /** `file:line:column` of the code that called it. */
    readonly at?: string,
    options?: ErrorOptions,
  ) {
    super(at ? `${message} (at ${at})` : message, options);
  }
}

/** Where something was called from; the text is made only when somebody asks for it. */
export interface Site {
  readonly stack?: string;
}

/** @param limit frames to keep: operations call each other some fifteen deep before user code shows */
export function callSite(limit = 60): Site {
  const site: Site = {};
  const previous = Error.stackTraceLimit;
  Error.stackTraceLimit = limit;
  Error.captureStackTrace(site, callSite);
  Error.stackTraceLimit = previous;
  return site;
}

const ENGINE_ROOM = fileURLToPath(new URL('.', import.meta.url));
const INTERNAL = /\bnode:|\/build\/tfjs\.mjs|\/node_modules\//;

/** `file:line:column` of the innermost frame outside the engine and TensorFlow.js. */
export function lineOf({ stack = '' }: Site): string | undefined {
  for (const frame of stack.split('\n').slice(1)) {
    const place = /\(?((?:file:\/\/)?(?:\/|[A-Za-z]:)[^()]*:\d+:\d+)\)?$/.exec(frame)?.[1];
    if (!place || INTERNAL.test(place)) continue;
    const path = place.startsWith('file:')
      ? place.replace(/^file:.*?(?=:\d+:\d+$)/, (url) => fileURLToPath(url))
      : place;
    if (!path.startsWith(ENGINE_ROOM)) return path;
  }
  return undefined;
}

/** Runs `f` with every source of randomness that JavaScript has replaced by a refusal. */
export function withoutRandomness<T>(f: () => T): T {
  const random = Math.random;
  const values = crypto.getRandomValues;
  const refuse = (name: string) => () => {
    throw new StepError(
      `${name} was called inside a step function: make noise with a RandomStream and pass it in`,
      name,
      lineOf(callSite()),
    );
  };
  Math.random = refuse('Math.random');
  crypto.getRandomValues = refuse('crypto.getRandomValues') as typeof values;
  try {
    return f();
  } finally {
    Math.random = random;
    crypto.getRandomValues = values;
  }
}

/** Operations that draw numbers even with a seed: they would give the same "noise" in every run of the step. */
const RANDOM_OPERATION =
  /\b(rand|randomGamma|randomNormal|randomStandardNormal|randomUniform|randomUniformInt|truncatedNormal|multinomial|dropout)_+\b/;

/** The random operation of TensorFlow.js in whose midst this was called, if any. */
export const randomOperation = ({ stack = '' }: Site): string | undefined =>
  RANDOM_OPERATION.exec(stack)?.[1];

/**
 * Arrays of a tree by path, checked against what a step was compiled for.
 * @param what the arrays are, for the message
 * @throws StepError for a missing or unknown array, another shape or another element type
 */
export function checkInputs(
  expected: readonly (readonly [path: string, leaf: NdArray | TensorSpec])[],
  given: unknown,
  compiledAt: string | undefined,
  what = 'input',
): Map<string, NdArray> {
  const arrays = new Map(leaves<NdArray>(given));
  const refuse = (message: string) => {
    throw new StepError(`${message}${compiledAt ? `; the step was compiled at ${compiledAt}` : ''}`);
  };
  for (const [path, leaf] of expected) {
    const array = arrays.get(path);
    if (!array) return refuse(`${what} ${path} is missing`);
    const { shape, data } = array;
    if (
      shape.length !== leaf.shape.length ||
      shape.some((n, i) => n !== leaf.shape[i]) ||
      data.length !== sizeOf(shape)
    )
      refuse(
        data.length === sizeOf(shape)
          ? `${what} ${path} has shape [${shape}], the step was compiled for [${leaf.shape}]`
          : `${what} ${path} has shape [${shape}] but ${data.length} elements`,
      );
    if (dtypeOf(array) !== dtypeOf(leaf))
      refuse(`${what} ${path} is ${dtypeOf(array)}, the step was compiled for ${dtypeOf(leaf)}`);
  }
  if (arrays.size > expected.length) {
    const known = new Set(expected.map(([path]) => path));
    refuse(`${what} ${[...arrays.keys()].find((path) => !known.has(path))} is not one that the step has`);
  }
  return arrays;
}

/** Whether any element is NaN. */
export function hasNaN(data: NdArray['data']): boolean {
  if (!(data instanceof Float32Array)) return false;
  for (let i = 0; i < data.length; i++) if (Number.isNaN(data[i])) return true;
  return false;
}

/** `NaN in 3 of 128 elements`, or undefined where every element is finite. */
export function notFinite(data: ArrayLike<number>): string | undefined {
  let count = 0;
  let first = Number.NaN;
  for (let i = data.length - 1; i >= 0; i--)
    if (!Number.isFinite(data[i])) {
      count++;
      first = data[i];
    }
  return count > 0 ? `${first} in ${count} of ${data.length} elements` : undefined;
}
