// What a benchmark case is: work that we and the peers do alike, numbers to agree on, and a clock.
import type { Engine } from '../src/engine/index.js';
import type { ReadonlyTensors } from '../src/formats/safetensors.js';

/** Everything a peer needs to do the same work, and what it must find. */
export interface Reference {
  /** Data, parameters, and the noise of the steps that are compared. */
  tensors: ReadonlyTensors;
  settings: Readonly<Record<string, number | string>>;
  /** Terms of the objective in our first steps, the first before any update: [steps][terms]. */
  losses: readonly (readonly number[])[];
}

/** A case ready to be timed by us. */
export interface Prepared {
  reference: Reference;
  /** Does that many units of work, after a few that do not count. @returns milliseconds per unit */
  time(units: number): Promise<number>;
  release(): Promise<void>;
}

export interface Case {
  name: string;
  title: string;
  unit: 'step' | 'epoch' | 'call';
  /** Function of the peers that does the same. */
  peer: string;
  /** Estimated 10⁹ floating-point operations of one unit, two for a multiplication and addition. */
  gflop: number;
  /** Our time over that of the faster peer should not be above this. */
  target?: number;
  prepare(engine: Engine): Promise<Prepared>;
}

/** Steps whose objective is compared: before any update, and after one, two, three. */
export const COMPARED_STEPS = 4;
/** Units of work that we and the peers do before each measurement. */
export const WARM_UP = 3;
