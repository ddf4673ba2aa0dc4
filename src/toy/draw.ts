// Many draws of a fitted q, and values of a function of draws, in chunks of one compiled step.
import { chunksOf, type Engine, f32, foldIn, type Key, noiseFor } from '../engine/index.js';
import type { Sampler } from '../estimators/index.js';
import type { Draws } from '../evaluate/two-sample.js';
import type { Arrays } from '../priors/index.js';
import type { Target } from './target.js';

export type Rows = Draws & { data: Float32Array };

const CHUNK = 500;

/** @returns n draws of q [n, d] */
export async function drawFrom(
  q: Sampler,
  parameters: Arrays,
  n: number,
  engine: Engine,
  key: Key,
): Promise<Rows> {
  const d = q.dimensions;
  const specs = q.noise(CHUNK);
  const step = await engine.compile(({ noise }, parameters) => ({ w: q.draw(parameters, noise).w }), {
    inputs: { noise: specs },
    constants: { ...parameters },
  });
  const data = new Float32Array(n * d);
  const noise = noiseFor(specs, key);
  for (let start = 0; start < n; start += CHUNK) {
    noiseFor(specs, foldIn(key, start), noise);
    const { w } = await step.run({ noise });
    data.set(w.data.subarray(0, Math.min(CHUNK, n - start) * d), start * d);
  }
  await step.release();
  return { data, n, d };
}

/** log p̃ of each row: [n], nats. */
export async function logDensities(
  target: Target,
  { data, n, d }: Rows,
  engine: Engine,
): Promise<Float64Array> {
  const step = await engine.compile(({ w }, data) => ({ value: target.logDensity(data, w) }), {
    inputs: { w: f32([CHUNK, d]) },
    constants: { ...target.data },
  });
  const values = new Float64Array(n);
  const w = f32([CHUNK, d]);
  for (const { from, to } of chunksOf(n, CHUNK)) {
    const part = data.subarray(from * d, to * d);
    w.data.set(part);
    const { value } = await step.run({ w });
    values.set(value.data.subarray(0, part.length / d), from);
  }
  await step.release();
  return values;
}
