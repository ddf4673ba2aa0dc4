// Every command of the command line, in the order that --help lists them.
import type { AnyCommand } from '../command.js';

export const commands: readonly AnyCommand[] = [];
