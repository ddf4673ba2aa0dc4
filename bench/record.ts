// An engine that remembers what its steps were given: how the peers get the very inputs and noise of training.
import type { Engine, NdArray } from '../src/engine/index.js';
import { leaves } from '../src/engine/index.js';

/** Inputs of one run of a step by path, `noise.conv1.likelihood.activations`. */
export type Inputs = Record<string, NdArray>;

/** @param runs filled with copies of the inputs of every run of the first step that is compiled */
export function recordingEngine(engine: Engine, runs: Inputs[]): Engine {
  let first = true;
  return {
    ...engine,
    async compile(fn, shapes) {
      const step = await engine.compile(fn, shapes);
      if (!first) return step;
      first = false;
      return {
        ...step,
        run: (given) => {
          const copies = leaves<NdArray>(given).map(([path, { shape, data }]) => [
            path,
            { shape, data: data.slice() },
          ]);
          runs.push(Object.fromEntries(copies));
          return step.run(given);
        },
      };
    },
  };
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
