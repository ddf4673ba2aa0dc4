// The smallest network: its shapes, that it has no biases, and that both engines compute the same.
import { expect, test } from 'vitest';
import { networkLogits } from '../../src/bounds/elbo.js';
import { f32, RandomStream, seedKey, type tf } from '../../src/engine/index.js';
import { plainWeights } from '../../src/experiment/plain-weights.js';
import { applyWeights } from '../../src/nn/index.js';
import { oneConv } from '../../src/nn/one-conv.js';
import { posteriors } from '../../src/posteriors/index.js';
import { initialState, xavier } from '../../src/train/train-network.js';
import { engines, largestRelativeError } from '../engine/reference.js';

const architecture = oneConv({ height: 28, width: 28, channels: 1 }, 10, [3]);
const [conv] = architecture.layers.flatMap((layer) => (layer.kind === 'conv' ? [layer] : []));
const key = seedKey(920);
const { parameters } = initialState(architecture, posteriors.point, { conv1: xavier(conv, key) }, -5, key);

test('2×2 positions of each feature, and no bias anywhere', () => {
  expect(conv).toMatchObject({ shape: [3, 1, 7, 7], inputSize: [14, 14], outputSize: [8, 8] });
  expect(architecture.layers.at(-1)).toMatchObject({ kind: 'dense', shape: [12, 10] });
  expect(Object.keys(parameters).sort()).toEqual(['conv1.mean', 'dense.kernel']);
});

test('native and cpu agree; exported weights have biases of 0', async () => {
  const { native, cpu } = await engines();
  const images = f32([4, 28, 28, 1], new RandomStream(key).fillNormal(new Float32Array(4 * 784)));
  const logits = await Promise.all(
    [native, cpu].map(async (engine) => {
      const step = await engine.compile(
        ({ images, parameters }: { images: tf.Tensor4D; parameters: Record<string, tf.Tensor> }) => ({
          logits: networkLogits(architecture, parameters, images, (layer, x) =>
            applyWeights(layer, x, parameters[`${layer.name}.mean`]),
          ),
        }),
        { inputs: { images, parameters } as never },
      );
      const out = (await step.run({ images, parameters } as never)) as unknown as { logits: typeof images };
      await step.release();
      return out.logits;
    }),
  );
  expect(logits[0].shape).toEqual([4, 10]);
  expect(largestRelativeError({ logits: logits[0] }, { logits: logits[1] }).error).toBeLessThan(1e-5);
  const weights = await plainWeights({ architecture, posterior: posteriors.point }, parameters, native);
  expect([...weights.conv1.bias.data]).toEqual([0, 0, 0]);
  expect([...weights.dense.bias.data]).toEqual(Array(10).fill(0));
});

test('refused: images too small, another number of convolutions', () => {
  expect(() => oneConv({ height: 15, width: 28, channels: 1 }, 10)).toThrow(/15×28 are too small/);
  expect(() => oneConv({ height: 28, width: 28, channels: 1 }, 10, [3, 4])).toThrow(/1 convolution/);
});
