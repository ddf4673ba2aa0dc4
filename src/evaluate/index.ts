// Predictive distribution, metrics, calibration.
export * from './batch-statistics.js';
export * from './ensemble.js';
export * from './metrics.js';
export * from './predict.js';
export * from './summary.js';
