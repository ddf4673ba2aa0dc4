// A program that imports both entry points of the installed package: its types must compile.
import { families, type RunConfig, readNpy, startRun } from 'deep-weight-prior';
import { createEngine, type Engine, tf } from 'deep-weight-prior/engine';

export const names: string[] = Object.keys(families);
export const read: typeof readNpy = readNpy;
export const start: typeof startRun = startRun;
export const engine: Promise<Engine> = createEngine('native');
export const sum = (x: tf.Tensor): tf.Tensor => tf.sum(x);
export type Config = RunConfig;
