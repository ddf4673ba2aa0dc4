// What an engine says of a step: nodes, bytes and floating-point operations by hand-made counts, and where time went.
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { executionProviders } from '../../src/engine/devices.js';
import { createEngine, f32, spec, tf } from '../../src/engine/index.js';
import { normal } from './reference.js';

test('a dense layer: nodes, bytes, operations and lines', async () => {
  const engine = await createEngine('native', 1);
  const step = await engine.compile(
    ({ x }: { x: tf.Tensor }, { w }: { w: tf.Tensor }) => ({
      y: tf.tanh(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D)),
    }),
    { inputs: { x: spec([8, 50]) }, constants: { w: normal(1, 50, 20) } },
  );
  const explanation = await engine.explain(step, 5);
  await step.release();
  expect(explanation.nodes).toEqual([
    { op: 'MatMul', count: 1, flops: 2 * 8 * 50 * 20 },
    { op: 'Tanh', count: 1, flops: 8 * 20 },
  ]);
  expect(explanation.nodeCount).toBe(2);
  expect(explanation.inputBytes).toBe(4 * 8 * 50);
  expect(explanation.outputBytes).toBe(4 * 8 * 20);
  expect(explanation.constantBytes).toBe(4 * 50 * 20);
  expect(explanation.flops).toBe(2 * 8 * 50 * 20 + 8 * 20);
  expect(explanation.executed.map(({ op, count }) => [op, count])).toContainEqual(['Tanh', 1]);
  expect(explanation.milliseconds).toBeGreaterThan(0);
  expect(explanation.lines[0].line).toContain(fileURLToPath(import.meta.url));
});

test.each([
  ['same', 1, 2 * 2 * 8 * 8 * 9 * 32 * 32],
  ['valid', 1, 2 * 2 * 6 * 6 * 9 * 32 * 32],
] as const)('a convolution, padding %s, stride %d', async (pad, stride, flops) => {
  const engine = await createEngine('native', 1);
  const step = await engine.compile(
    ({ x, w }: { x: tf.Tensor; w: tf.Tensor }) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, stride, pad),
    { inputs: { x: spec([2, 8, 8, 32]), w: spec([3, 3, 32, 32]) } },
  );
  const { nodes } = await engine.explain(step, 1);
  await step.release();
  expect(nodes.find(({ op }) => op === 'Conv')?.flops).toBe(flops);
});

test('engines that compile nothing say so', async () => {
  const engine = await createEngine('cpu');
  const step = await engine.compile(({ x }: { x: tf.Tensor }) => tf.neg(x), { inputs: { x: f32([1]) } });
  await expect(engine.explain(step)).rejects.toThrow('--engine cpu compiles no graph');
  await step.release();
});

test('devices: the CPU takes over what another does not support; a missing one is refused', async () => {
  const providers = [
    { name: 'cpu', bundled: true },
    { name: 'webgpu', bundled: true },
  ];
  expect(executionProviders('cpu', providers)).toEqual(['cpu']);
  expect(executionProviders('webgpu', providers)).toEqual(['webgpu', 'cpu']);
  expect(() => executionProviders('coreml', providers)).toThrow(
    '--device coreml: the installed onnxruntime supports only cpu, webgpu',
  );
  await expect(createEngine('cpu', 1, 'webgpu')).rejects.toThrow(
    '--device webgpu works only with --engine native',
  );
  const absent = process.platform === 'darwin' ? 'dml' : 'coreml';
  await expect(createEngine('native', 1, absent)).rejects.toThrow(`--device ${absent}`);
});
