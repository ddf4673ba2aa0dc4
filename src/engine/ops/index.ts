// Every TensorFlow.js kernel that can be compiled.
import { convolutions } from './conv.js';
import { depthwiseConvolutions } from './depthwise.js';
import { elementwise } from './elementwise.js';
import { linear } from './linear.js';
import type { Lowerings } from './lowering.js';
import { pooling } from './pool.js';
import { reductions } from './reduce.js';
import { shapes } from './shape.js';

export const lowerings: Lowerings = {
  ...elementwise,
  ...reductions,
  ...shapes,
  ...linear,
  ...convolutions,
  ...depthwiseConvolutions,
  ...pooling,
};
