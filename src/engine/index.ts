// The engine room: TensorFlow.js operations in, compiled steps out.
import './derivatives.js';

export * as tf from '#tfjs';
export type { ArraysOf, CompiledStep, Engine, TensorsOf } from './engine.js';
export { valueAndGradients } from './gradients.js';
export { Graph, type Value } from './graph.js';
export { groupedConv2d } from './grouped.js';
export { noiseFor } from './noise.js';
export { encodeOnnx } from './onnx.js';
export { foldIn, type Key, RandomStream, type StreamState, seedKey, split } from './random.js';
export * from './tree.js';

import type { Engine } from './engine.js';

export const ENGINES = ['native', 'cpu', 'tensorflow'] as const;
export type EngineName = (typeof ENGINES)[number];

/** Loads the engine of that name; the others stay unloaded. `threads` 0 means as onnxruntime chooses. */
export async function createEngine(name: EngineName, threads = 0): Promise<Engine> {
  if (name === 'native') return (await import('./native.js')).nativeEngine({ threads });
  const eager = await import('./eager.js');
  return name === 'cpu' ? eager.cpuEngine() : eager.tensorflowEngine();
}
