// Markov chains: transitions as functions of tensors, draws of a density, and what the draws are worth.
export * from './adapt.js';
export * from './diagnostics.js';
export * from './hmc.js';
export * from './sample.js';
export * from './walk.js';
