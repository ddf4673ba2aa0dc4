// TensorFlow.js as step functions see it, with a few functions in a shorter or more careful form.
export * from '#tfjs';
export { batchNorm, logSoftmax, logSumExp, losses } from './functions.js';
