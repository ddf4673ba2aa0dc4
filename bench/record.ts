// An engine that remembers what its steps were given: how the peers get the very inputs and noise of training.
import { type Engine, leaves, type NdArray } from '../src/engine/index.js';

/** Arrays by path, `noise.conv1.likelihood.activations`. */
export type Inputs = Record<string, NdArray>;

export interface Recording {
  constants: Inputs;
  /** Of each run, in order. */
  runs: Inputs[];
}

const copies = (tree: unknown): Inputs =>
  Object.fromEntries(
    leaves<NdArray>(tree).map(([path, { shape, data }]) => [path, { shape, data: data.slice() }]),
  );

/** @returns an engine, and what the first step of an optimiser that it compiles is given: one with moments */
export function recordingEngine(engine: Engine): { engine: Engine; recording: Recording } {
  const recording: Recording = { constants: {}, runs: [] };
  let first = true;
  const recorder: Engine = {
    ...engine,
    async compile(fn, shapes) {
      const step = await engine.compile(fn, shapes);
      if (!first || !('moments' in Object(shapes.inputs))) return step;
      first = false;
      recording.constants = copies(shapes.constants ?? {});
      return {
        ...step,
        run(given, into) {
          recording.runs.push(copies(given));
          return step.run(given, into);
        },
      };
    },
  };
  return { engine: recorder, recording };
}

/** The inputs under a path, without it: `parameters` of { 'parameters.w': x } is { w: x }. */
export const under = (inputs: Inputs, path: string): Inputs =>
  Object.fromEntries(
    Object.entries(inputs)
      .filter(([name]) => name.startsWith(`${path}.`))
      .map(([name, array]) => [name.slice(path.length + 1), array]),
  );

/** The same arrays with longer names. */
export const prefixed = (prefix: string, arrays: Readonly<Inputs>): Inputs =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`${prefix}.${name}`, array]));
