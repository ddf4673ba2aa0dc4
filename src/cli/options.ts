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
    'native (onnxruntime), cpu (plain JavaScript, slow) or tensorflow',
    z.enum(ENGINES).default('native'),
  ),
  threads: option(
    '--threads <n>',
    'threads of the native engine; 0 for one per core',
    integer(0, 256).default(0),
  ),
  device: option(
    '--device <name>',
    'what the native engine runs on, where onnxruntime has it: cpu, cuda, webgpu, coreml or dml',
    z.enum(DEVICES).default('cpu'),
  ),
};

export const seedOption = option('--seed <n>', 'determines every random number', integer(0).default(0));

/** Of commands that fit priors to the kernels of a dataset. */
export const kernelOptions = {
  size: option(
    '--size <kxk>',
    'which kernels of the dataset; of whole filters such as 3x7x7 their slices, with 7x7',
    z.string().optional(),
    'the only size there is',
  ),
  testFraction: option(
    '--test-fraction <part>',
    'held out where the dataset has no test split',
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
