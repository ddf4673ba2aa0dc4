// The library as programs use it: the example runs as it stands in the README, and a program adds a kind of layer and an
// architecture of its own without touching any file of ours.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { f32, tf } from '../src/engine/index.js';
import { networkToOnnx } from '../src/interchange/export-onnx.js';
import {
  architectures,
  buildArchitecture,
  forward,
  type LayerKind,
  layerKinds,
  namedArchitecture,
  noArrays,
} from '../src/network/index.js';
import { engines, runOn } from './engine/reference.js';
import { runOnnx } from './network/run-onnx.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const example = readFileSync(`${ROOT}/examples/library.mjs`, 'utf8');

test('the example is in the README, has at most 30 lines, and runs', async () => {
  expect(readFileSync(`${ROOT}/README.md`, 'utf8')).toContain(
    example.slice(example.indexOf('import')).trim(),
  );
  expect(example.trim().split('\n').length).toBeLessThanOrEqual(30);
  const { stdout } = await execa('node', ['examples/library.mjs'], { cwd: ROOT });
  const [, accuracy] = /accuracy: ([\d.]+)/.exec(stdout) ?? [];
  expect(Number(accuracy)).toBeGreaterThan(0.6); // 0.79 here; a guess has 0.1
});

/** max(0, x)². */
const squaredRelu: LayerKind<Record<never, never>> = {
  kind: 'squared-relu',
  options: z.strictObject({}),
  inputs: 'one',
  shape: (_, [input]) => input,
  apply: (_, [x]) => ({ output: tf.square(tf.relu(x)) }),
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx(g, _, [x]) {
    const relu = g.emit1('Relu', [x], x.shape);
    return g.emit1('Mul', [relu, relu], x.shape);
  },
};

test('a kind of layer is one value in the list: it acts, and is exported', async () => {
  layerKinds.set(squaredRelu.kind, squaredRelu);
  const layers = [{ kind: 'squared-relu' }, { kind: 'flatten' }];
  const architecture = buildArchitecture('squares', { height: 1, width: 2, channels: 1 }, 2, layers);
  const images = f32([1, 1, 2, 1], Float32Array.of(-3, 3));
  const { native } = await engines();
  const { logits } = await runOn(
    native,
    ({ images }: { images: tf.Tensor4D }) => ({
      logits: tf.clone(forward(architecture, images, { parameters: {}, random: (_, x) => x }).outputs),
    }),
    { images },
  );
  expect([...logits.data]).toEqual([0, 9]);
  expect([...(await runOnnx(networkToOnnx(architecture, [{}]), images)).data]).toEqual([0, 9]);
});

test('an architecture is one value in the list: runs find it by its name and scale it', () => {
  architectures.set('two-conv', {
    description: 'two convolutions',
    channels: [4, 8],
    layers: ([first, second], classes) => [
      { kind: 'conv', channels: first, kernel: 3 },
      { kind: 'conv', channels: second, kernel: 3 },
      { kind: 'global-average-pool' },
      { kind: 'dense', units: classes },
    ],
  });
  const { layers } = namedArchitecture('two-conv', { height: 8, width: 8, channels: 3 }, 5, [2, 4]);
  expect(layers.map(({ outputShape }) => outputShape)).toEqual([[6, 6, 2], [4, 4, 4], [4], [5]]);
});
