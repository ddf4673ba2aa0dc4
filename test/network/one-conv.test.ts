// The smallest network: its shapes, that it has no biases, and that both engines compute the same.
import { expect, test } from 'vitest';
import { f32, RandomStream, seedKey, type tf } from '../../src/engine/index.js';
import { plainWeights } from '../../src/interchange/plain-weights.js';
import {
  applyWeights,
  namedArchitecture,
  networkLogits,
  weightShape,
  xavier,
} from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { initialState } from '../../src/train/train-network.js';
import { engines, largestRelativeError } from '../engine/reference.js';

const architecture = namedArchitecture('one-conv', { height: 28, width: 28, channels: 1 }, 10, [3]);
const [conv] = architecture.layers.flatMap((layer) => (layer.kind === 'conv' ? [layer] : []));
const key = seedKey(920);
const { parameters } = initialState({
  architecture,
  posterior: posteriors.point,
  weights: { conv1: xavier(conv, key) },
  logStd: -5,
  key,
});

test('2×2 positions of each feature, and no bias anywhere', () => {
  expect(weightShape(conv)).toEqual([3, 1, 7, 7]);
  expect(conv).toMatchObject({ inputShapes: [[14, 14, 1]], outputShape: [8, 8, 3] });
  expect(architecture.layers.at(-1)).toMatchObject({ kind: 'dense', inputShapes: [[12]], outputShape: [10] });
  expect(Object.keys(parameters).sort()).toEqual(['conv1.mean', 'dense.kernel']);
});

test('native and cpu agree; exported weights have no biases', async () => {
  const { native, cpu } = await engines();
  const images = f32([4, 28, 28, 1], new RandomStream(key).fillNormal(new Float32Array(4 * 784)));
  const logits = await Promise.all(
    [native, cpu].map(async (engine) => {
      const step = await engine.compile(
        ({ images, parameters }: { images: tf.Tensor4D; parameters: Record<string, tf.Tensor> }) => ({
          logits: networkLogits(
            architecture,
            { parameters, random: (layer, x) => applyWeights(layer, x, parameters[`${layer.name}.mean`]) },
            images,
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
  expect(Object.keys(weights.conv1)).toEqual(['weights']);
  expect(Object.keys(weights.dense)).toEqual(['weights']);
});

test('refused: images too small, another number of convolutions', () => {
  expect(() => namedArchitecture('one-conv', { height: 13, width: 28, channels: 1 }, 10)).toThrow(
    /13×28 are too small/,
  );
  expect(() => namedArchitecture('one-conv', { height: 28, width: 28, channels: 1 }, 10, [3, 4])).toThrow(
    /takes 1 number/,
  );
});
