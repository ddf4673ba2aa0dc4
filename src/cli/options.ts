// Options that several commands share.
import { z } from 'zod';
import {
  createEngine,
  DEVICES,
  type Device,
  ENGINES,
  type Engine,
  type EngineName,
} from '../engine/index.js';
import { integer, option, real } from './command.js';

export const engineOptions = {
  engine: option(
    '--engine <name>',
    'engine that computes: native (onnxruntime), cpu (JavaScript, slow) or tensorflow',
    z.enum(ENGINES).default('native'),
  ),
  threads: option(
    '--threads <n>',
    'threads of the native engine; 0 means one per core',
    integer(0, 256).default(0),
  ),
  device: option(
    '--device <name>',
    'device that the native engine runs on, if the installed onnxruntime supports it',
    z.enum(DEVICES).default('cpu'),
  ),
};

export const seedOption = option('--seed <n>', 'seed of all random numbers', integer(0).default(0));

/** Of commands that fit priors to the kernels of a dataset. */
export const kernelOptions = {
  size: option(
    '--size <kxk>',
    'size of the kernels to use; in a dataset of whole filters (3x7x7), 7x7 means their slices',
    z.string().optional(),
    'the size of the dataset, if it has only one',
  ),
  testFraction: option(
    '--test-fraction <part>',
    'part of the kernels to hold out if the dataset has no test split',
    real(0.01, 0.9).default(0.2),
  ),
};

export interface EngineInput {
  engine: EngineName;
  threads: number;
  device: Device;
}

export const openEngine = ({ engine, threads, device }: EngineInput): Promise<Engine> =>
  createEngine(engine, threads, device);
