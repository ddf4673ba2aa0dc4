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
import { integer, option } from './command.js';

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

export interface EngineInput {
  engine: EngineName;
  threads: number;
  device: Device;
}

export const openEngine = ({ engine, threads, device }: EngineInput): Promise<Engine> =>
  createEngine(engine, threads, device);
