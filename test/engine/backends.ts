// Which engines are here, which of them the tests compare with `cpu`, and what one of them is known to refuse.
import { createRequire } from 'node:module';
import type { Device, EngineName } from '../../src/engine/index.js';

const installed = (name: string) => {
  try {
    return Boolean(createRequire(import.meta.url).resolve(name));
  } catch {
    return false;
  }
};

export const hasTensorflow = installed('@tensorflow/tfjs-node-gpu') || installed('@tensorflow/tfjs-node');

/** The engines that are here. */
export const PRESENT: EngineName[] = ['native', 'cpu', ...(hasTensorflow ? ['tensorflow' as const] : [])];

/** Why tests of the engine `tensorflow` are skipped. */
export const NO_TENSORFLOW = 'no @tensorflow/tfjs-node here: npm run test:tensorflow builds it';

/** The engine that the tests compare with `cpu`: vitest's project of this name sets it. */
export const ENGINE_UNDER_TEST = process.env.DWP_TEST_ENGINE === 'tensorflow' ? 'tensorflow' : 'native';

/** What the native engine under test runs on: `DWP_TEST_DEVICE=webgpu npx vitest run test/engine/op` where there is a GPU. */
export const DEVICE_UNDER_TEST = (process.env.DWP_TEST_DEVICE ?? 'cpu') as Device;

/** Kernels that a compiled step may use and @tensorflow/tfjs-node has not; `backends.test.ts` sees that it has not. */
export const MISSING_IN_TENSORFLOW = ['BitwiseAnd', 'DenseBincount', 'MaxPoolWithArgmax', 'SearchSorted'];

/** What the engine under test refuses that `cpu` does. */
const REFUSALS: Record<typeof ENGINE_UNDER_TEST, RegExp[]> = {
  native: [],
  tensorflow: [
    new RegExp(`^Kernel '(${MISSING_IN_TENSORFLOW.join('|')})' not registered`),
    /Message: Value for attr 'T' of bool is not in the list of allowed values/, // `tf.less` of booleans
  ],
};

/** Nothing for an error that says that the engine under test has no such operation; throws every other. */
export function passOverRefusal(error: unknown): undefined {
  if (error instanceof Error && REFUSALS[ENGINE_UNDER_TEST].some((message) => message.test(error.message)))
    return;
  throw error;
}
