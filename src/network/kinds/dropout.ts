// Dropout (Srivastava et al. 2014): in training each element is 0 with probability `rate`, and the others are scaled up so
// that the mean stays.
import { z } from 'zod';
import { spec, tf } from '../../engine/index.js';
import { type LayerKind, noArrays } from '../layer.js';
import { normalQuantile } from '../quantile.js';

const options = z.strictObject({
  rate: z.number().min(0).lt(1).default(0.5).describe('probability that an element is dropped'),
});

export type DropoutOptions = z.infer<typeof options>;

export const dropout: LayerKind<DropoutOptions> = {
  kind: 'dropout',
  options,
  inputs: 'one',
  shape: (_, [input]) => input,
  apply({ options: { rate } }, [x], { noise: { normals }, mode }) {
    if (mode !== 'training' || rate === 0) return { output: x };
    const kept = tf.step(tf.sub(normals, normalQuantile(rate))); // a standard normal is below it with probability `rate`
    return { output: tf.mul(x, tf.div(kept, 1 - rate)) };
  },
  noise: ({ options: { rate }, outputShape }, batch): Readonly<Record<string, ReturnType<typeof spec>>> =>
    rate > 0 ? { normals: spec([batch, ...outputShape]) } : {},
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx: (_, __, [x]) => x,
};
