// The engine room: TensorFlow.js operations in, compiled steps out.
import './derivatives.js';
import './tape.js';

export { type Chunk, chunksOf } from './chunks.js';
export { StepError } from './contract.js';
export { DEVICES, type Device } from './devices.js';
export type { CompiledStep, Engine } from './engine.js';
export type { Explanation } from './explain.js';
export { type FreeSpec, functionToOnnx } from './free-sizes.js';
export { scaleGradient, stopGradient, valueAndGradients } from './gradients.js';
export { type Attribute, Graph, type Value } from './graph.js';
export { groupedConv2d } from './grouped.js';
export { type Arrays, nested, prefixed, type Specs, type Tensors } from './named.js';
export { noiseFor } from './noise.js';
export { encodeOnnx, OPSET } from './onnx.js';
export { type Layout, layoutOf, type PackedArrays, packedArrays, unpack } from './packed.js';
export { foldIn, type Key, RandomStream, type StreamState, seedKey, split } from './random.js';
export * as tf from './tf.js';
export * from './tree.js';

import { usageError } from '../errors.js';
import type { Device, Provider } from './devices.js';
import type { Engine } from './engine.js';

export const ENGINES = ['native', 'cpu', 'tensorflow'] as const;
export type EngineName = (typeof ENGINES)[number];

/** The execution providers of the installed onnxruntime, started or not. */
export async function availableProviders(): Promise<readonly Provider[]> {
  return (await (await import('./onnxruntime.js')).onnxruntime()).listSupportedBackends();
}

/**
 * Loads the engine of that name; the others stay unloaded.
 * @param threads within an operator; 0: as many as onnxruntime or libtensorflow thinks best; `cpu` has one
 * @param device what the native engine runs on
 * @throws DwpError USAGE when the engine or the device is not installed
 */
export async function createEngine(name: EngineName, threads = 0, device: Device = 'cpu'): Promise<Engine> {
  if (name === 'native') return (await import('./native.js')).nativeEngine({ threads, device });
  if (device !== 'cpu')
    throw usageError(
      `--device ${device} works only with --engine native`,
      `leave out --device: --engine ${name} chooses its own device`,
    );
  const eager = await import('./eager.js');
  return name === 'cpu' ? eager.cpuEngine() : eager.tensorflowEngine(threads);
}
export type { ArraysOf, TensorsOf } from './typed-tree.js';
