// Predictive distribution, metrics, calibration.
export * from './ensemble.js';
export * from './metrics.js';
export * from './predict.js';
export * from './summary.js';
