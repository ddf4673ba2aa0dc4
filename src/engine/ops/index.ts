// Every TensorFlow.js kernel that can be compiled.
import { activations } from './activation.js';
import { convolutions } from './conv.js';
import { depthwiseConvolutions } from './depthwise.js';
import { elementwise } from './elementwise.js';
import { fused } from './fused.js';
import { images } from './image.js';
import { indexing } from './indexing.js';
import { linear } from './linear.js';
import type { Lowerings } from './lowering.js';
import { normalization } from './normalization.js';
import { pooling } from './pool.js';
import { reductions } from './reduce.js';
import { shapes } from './shape.js';

export const lowerings: Lowerings = {
  ...elementwise,
  ...activations,
  ...reductions,
  ...shapes,
  ...indexing,
  ...linear,
  ...convolutions,
  ...depthwiseConvolutions,
  ...pooling,
  ...normalization,
  ...fused,
  ...images,
};
