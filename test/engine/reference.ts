// Running one function on two engines, and comparing what comes out.
import {
  type ArraysOf,
  createEngine,
  type Engine,
  f32,
  leaves,
  type NdArray,
  RandomStream,
  seedKey,
  type TensorsOf,
} from '../../src/engine/index.js';
import { DEVICE_UNDER_TEST, ENGINE_UNDER_TEST } from './backends.js';

/** The engine under test, which is called native because it mostly is, and the one that it is compared with. */
export const engines = async (): Promise<{ native: Engine; cpu: Engine }> => ({
  native: await createEngine(ENGINE_UNDER_TEST, 1, DEVICE_UNDER_TEST),
  cpu: await createEngine('cpu'),
});

export async function runOn<I, O>(
  engine: Engine,
  fn: (inputs: TensorsOf<I>) => O,
  inputs: I,
): Promise<ArraysOf<O>> {
  const step = await engine.compile(fn, { inputs });
  const result = await step.run(inputs as unknown as ArraysOf<I>);
  await step.release();
  return result;
}

/** Largest difference of two trees of arrays, relative to the largest value of each tensor. */
export function largestRelativeError(actual: unknown, expected: unknown): { path: string; error: number } {
  const wanted = new Map(leaves<NdArray>(expected));
  let worst = { path: '', error: 0 };
  for (const [path, { shape, data }] of leaves<NdArray>(actual)) {
    const reference = wanted.get(path);
    if (!reference || `${reference.shape}` !== `${shape}`)
      return {
        path: `${path}: shape [${shape}], expected [${reference?.shape}]`,
        error: Number.POSITIVE_INFINITY,
      };
    const scale = Math.max(1e-6, ...Array.from(reference.data, Math.abs));
    for (let i = 0; i < data.length; i++) {
      const error = Math.abs(data[i] - reference.data[i]) / scale;
      if (!(error <= worst.error))
        worst = { path: `${path}[${i}] ${data[i]} vs ${reference.data[i]}`, error };
    }
  }
  return worst;
}

/** Normal numbers, the same for the same seed. */
export const normal = <S extends number[]>(seed: number, ...shape: S) =>
  f32(shape, new RandomStream(seedKey(seed)).fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))));

/** Numbers in (0.5, 1.5): for logarithms, roots and divisors. */
export const positive = <S extends number[]>(seed: number, ...shape: S) => {
  const stream = new RandomStream(seedKey(seed));
  return f32(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 0.5 + stream.uniform()),
  );
};
