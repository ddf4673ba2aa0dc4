// Every command of the command line, in the order that --help lists them.
import type { AnyCommand } from '../command.js';
import { collectKernels } from './collect-kernels.js';
import { compare } from './compare.js';
import { demo } from './demo.js';
import { doctor } from './doctor.js';
import { evalPrior } from './eval-prior.js';
import { evaluate } from './evaluate.js';
import { exportCommand } from './export.js';
import { fitPriorCommand } from './fit-prior.js';
import { inspect } from './inspect.js';
import { report } from './report.js';
import { samplePriorCommand } from './sample-prior.js';
import { train } from './train.js';

export const commands: readonly AnyCommand[] = [
  demo,
  inspect,
  collectKernels,
  fitPriorCommand,
  evalPrior,
  samplePriorCommand,
  train,
  evaluate,
  compare,
  report,
  exportCommand,
  doctor,
];
