// Options that several methods have.
import { z } from 'zod';
import { option, real, type Settings, whole } from '../problems/option.js';
import { initOf, type ProblemConfig } from '../problems/options.js';
import { DENSE_START } from '../train/train-network.js';

const COMPONENTS = 10;
/** Networks that start at the same weights of a file hardly differ. */
export const componentsByStart = (config: Parameters<typeof initOf>[0]): number =>
  initOf(config) === 'model' ? 1 : COMPONENTS;
export const STEPS_PER_ROOT = 10;
export const CHAIN_STEPS = 1000;

/** Of every method that takes steps over batches of examples. */
export const stepOptions = {
  steps: option(
    whole(1, 100_000_000).optional(),
    'training',
    '<n>',
    `number of steps of Adam for each component, or of transitions of each chain (default: ${STEPS_PER_ROOT}·√examples, ` +
      `or ${CHAIN_STEPS} for chains)`,
  ),
  batch: option(whole(1, 65_536).default(50), 'training', '<n>', 'number of examples in each step'),
};

/** Of methods that train networks by Adam, one after the other. */
export const adamOptions = {
  ...stepOptions,
  components: option(
    whole(1, 1000).optional(),
    'method',
    '<M>',
    `number of networks that predict together (default: ${COMPONENTS}; 1 with a learned prior or --init model)`,
  ),
  learningRate: option(
    real(1e-9, 10).default(3e-3),
    'training',
    '<x>',
    'learning rate of Adam; it falls linearly to 0',
  ),
  denseStart: option(
    z
      .union(
        [z.enum(['fitted', 'model']), real(0, 1000)],
        'must be "fitted", "model" or a number from 0 to 1000',
      )
      .optional(),
    'network',
    '<x>',
    'start of the classifier: fitted (to the features of the examples before training), model (the one of ' +
      '--arch model.onnx where it has as many classes, or fitted), or random, scaled by this ' +
      `factor of Glorot's standard deviation (default: fitted, model with --init model, or ${DENSE_START} with --init xavier ` +
      'or --dense-prior)',
    'rare',
  ),
  denseDecay: option(
    z.union([z.literal('auto'), real(0, 1e6)], 'must be "auto" or a number from 0 to 1000000').optional(),
    'method',
    '<x>',
    'without --dense-prior: weight λ of the penalty ½λ‖w‖² of the classifier, which is the prior N(0, 1/λ); auto means ' +
      '5 divided by the mean square of its inputs before training (default: auto, or 0 with --init xavier)',
    'rare',
  ),
};

export type TrainedConfig = ProblemConfig & Settings<typeof adamOptions>;

/** Of methods that draw from a posterior. */
export const posteriorOptions = {
  temperature: option(
    real(0, 1000).default(0.1),
    'method',
    '<T>',
    'weight of the divergence KL(q‖p) in training; reported bounds are at 1',
  ),
  samples: option(whole(1, 10_000).default(10), 'method', '<M>', 'weight draws that predictions average'),
};
