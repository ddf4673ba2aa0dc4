// What a published model holds, in a form that a test can name.
import { expect } from 'vitest';
import { loadModel } from '../importers/loaded.js';

/** `kind size: layers/slices` of a model, 1x1 left out. @param skipped how many layers cannot be read */
export async function summary(path: string, skipped = 0) {
  const model = await loadModel(path);
  expect(model.skipped).toHaveLength(skipped);
  const counts: Record<string, { layers: number; slices: number }> = {};
  for (const { kind, shape, data } of model.layers) {
    expect(data).toHaveLength(shape.reduce((a, b) => a * b));
    if (shape[2] * shape[3] === 1) continue;
    const key = `${kind} ${shape[2]}x${shape[3]}`;
    counts[key] ??= { layers: 0, slices: 0 };
    counts[key].layers++;
    counts[key].slices += shape[0] * shape[1];
  }
  return counts;
}
