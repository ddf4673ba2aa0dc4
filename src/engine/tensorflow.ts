// Loads libtensorflow through @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node, quietly, into the copy of
// TensorFlow.js that this room uses: all copies in a process share one engine and one registry of kernels.
import { createRequire } from 'node:module';
import util from 'node:util';
import * as tf from '#tfjs';
import { messageOf, usageError } from '../errors.js';
import { extendPadding } from './tensorflow-padding.js';

const require = createRequire(import.meta.url);
const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

let loaded = false;

/** The package with libtensorflow that is installed, the one for GPUs first. */
export function tensorflowPackage(): string | undefined {
  return PACKAGES.find((name) => {
    try {
      return require.resolve(name);
    } catch {
      return false;
    }
  });
}

/**
 * Registers the backend `tensorflow`.
 * @param threads threads within an operator, 0 for one per core; libtensorflow reads it once per process
 * @throws DwpError when no package is installed, or the one that is cannot be loaded
 */
export function loadTensorflow(threads: number): void {
  if (loaded) return;
  const name = tensorflowPackage();
  if (!name)
    throw usageError(
      '--engine tensorflow: neither @tensorflow/tfjs-node-gpu nor @tensorflow/tfjs-node is installed',
      'npm install @tensorflow/tfjs-node@4.22.0, or use --engine native',
    );
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '1'; // no notes on instruction sets
  if (threads > 0) process.env.TF_NUM_INTRAOP_THREADS ??= String(threads);
  // The package calls these two; Node 22 warns about them and Node 23 has them no more.
  Object.assign(util, { isArray: Array.isArray, isNullOrUndefined: (x: unknown) => x == null });
  try {
    keepingRegistrations(() => require(name));
    extendPadding();
  } catch (error) {
    throw usageError(
      `--engine tensorflow: ${name} is installed but cannot be loaded: ${firstLine(error)}`,
      'install it again with its install script allowed to run, or use --engine native',
    );
  }
  loaded = true;
}

/** The package's messages go on with advice for another system. */
const firstLine = (error: unknown) =>
  messageOf(error instanceof Error ? error.message.split('\n')[0] : error);

/**
 * Runs `load`, which brings a second copy of TensorFlow.js: what it registers is added to the shared registries
 * (`_tfGlobals`), but replaces neither our `cpu` kernels nor our own gradients, and is not warned about.
 */
function keepingRegistrations(load: () => void): void {
  const { _tfGlobals } = globalThis as unknown as { _tfGlobals: Map<string, Map<unknown, unknown>> };
  const registries = ['kernelRegistry', 'gradRegistry'].map((name) => _tfGlobals.get(name)!);
  const before = registries.map((registry) => [...registry]);
  const environment = tf.env();
  const production = environment.getBool('PROD');
  environment.set('PROD', true); // TensorFlow.js's way to be silent
  try {
    load();
  } finally {
    environment.set('PROD', production);
    registries.forEach((registry, i) => {
      for (const [key, value] of before[i]) registry.set(key, value);
    });
  }
}
