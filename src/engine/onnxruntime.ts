// onnxruntime itself: loaded when first needed, and asked what it can do on this machine.
import { createRequire } from 'node:module';
import type * as Ort from '#onnxruntime';
import { messageOf } from '../errors.js';
import { type Device, deviceFailed } from './devices.js';
import { Graph } from './graph.js';
import { encodeOnnx } from './onnx.js';

const require = createRequire(import.meta.url);

let ort: typeof Ort | undefined;

/**
 * onnxruntime, loaded when first needed: the one in build/, which has no CUDA library. For CUDA an `onnxruntime-node`
 * that is installed beside this package comes first, since its install script fetches that library.
 */
export async function onnxruntime(device: Device = 'cpu'): Promise<typeof Ort> {
  ort ??= (device === 'cuda' && optional('onnxruntime-node')) || (require('#onnxruntime') as typeof Ort);
  return ort;
}

function optional(name: string): typeof Ort | undefined {
  try {
    return require(name);
  } catch {
    return undefined;
  }
}

/**
 * Starts a device once, so that one that is not there is told here.
 * @throws DwpError USAGE with the reason
 */
export async function startDevice(
  device: Device,
  options: Ort.InferenceSession.SessionOptions,
): Promise<void> {
  const { env, InferenceSession } = await onnxruntime();
  env.logLevel = 'fatal'; // the reason is in the error
  const graph = new Graph();
  const model = encodeOnnx(graph, [['y', graph.input('x', [1], 'float32')]]);
  try {
    await (await InferenceSession.create(model, options)).release();
  } catch (error) {
    throw deviceFailed(device, messageOf(error).replace(/^.* was false\. /, ''));
  }
}

let knownBlock: number | undefined;

/**
 * Channels in a block of onnxruntime's blocked convolutions on this processor: what ReorderInput does to [1, 64, 1, 2]
 * with the numbers 0, 1, 2, … shows it, as every second one comes first.
 * @returns 0 where there are none
 */
export async function channelBlockOf(): Promise<number> {
  if (knownBlock !== undefined) return knownBlock;
  const { InferenceSession, Tensor } = await onnxruntime();
  const graph = new Graph();
  const x = graph.input('x', [1, 64, 1, 2], 'float32');
  const y = graph.emit1('com.microsoft.nchwc:ReorderInput', [x], x.shape, { channels_last: 0 });
  try {
    const session = await InferenceSession.create(encodeOnnx(graph, [['y', y]]), { logSeverityLevel: 4 });
    const numbers = Float32Array.from({ length: 128 }, (_, i) => i);
    const out = await session.run({ x: new Tensor('float32', numbers, x.shape) });
    await session.release();
    const block = (out.y.data as Float32Array).indexOf(1);
    knownBlock = block > 1 && out.y.data.length === 128 ? block : 0;
  } catch {
    knownBlock = 0;
  }
  return knownBlock;
}
