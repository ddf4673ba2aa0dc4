// Every command of the command line, in the order that --help lists them.
import type { AnyCommand } from '../command.js';
import { collectKernels } from './collect-kernels.js';
import { inspect } from './inspect.js';

export const commands: readonly AnyCommand[] = [collectKernels, inspect];
