// Networks without their weights: layers that act, graphs of them, and how weights are kernels.
export * from './architecture.js';
export * from './architectures/index.js';
export * from './described.js';
export * from './forward.js';
export * from './from-onnx.js';
export { networkFromYaml } from './from-yaml.js';
export { layerKinds } from './kinds/index.js';
export * from './layer.js';
export type { ClassifierGraph, OnnxNetwork } from './onnx-reader.js';
export * from './parameter-keys.js';
export * from './start.js';
export * from './weights.js';
