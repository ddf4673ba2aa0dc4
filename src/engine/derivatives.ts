// Gradients that TensorFlow.js lacks, gets wrong or makes long. They are written with TensorFlow.js operations and hold
// on every backend; where the tracing backend has a kernel for one, it takes that, and tests compare the two.
import * as tf from '#tfjs';
import { convolutionGradients } from './derivatives/convolution.js';
import { elementwiseGradients } from './derivatives/elementwise.js';
import { imageGradients } from './derivatives/image.js';
import { indexingGradients } from './derivatives/indexing.js';
import { linearGradients } from './derivatives/linear.js';
import { poolGradients } from './derivatives/pooling.js';

/** Puts these gradients in the place of TensorFlow.js's own; `loadTensorflow` keeps them there. */
export function registerDerivatives(): void {
  for (const gradient of [
    ...convolutionGradients,
    ...poolGradients,
    ...elementwiseGradients,
    ...linearGradients,
    ...indexingGradients,
    ...imageGradients,
  ])
    tf.registerGradient(gradient);
}

registerDerivatives();
