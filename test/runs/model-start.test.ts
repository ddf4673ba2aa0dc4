// --init model: runs that begin with everything that an ONNX file holds, here one that dwp export could have written.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Dataset, ImageSet } from '../../src/data/index.js';
import { type NdArray, RandomStream, seedKey, type Tensors, tf } from '../../src/engine/index.js';
import { networkToOnnx } from '../../src/interchange/export-onnx.js';
import { readCheckpoint } from '../../src/methods/checkpoint.js';
import {
  applyWeights,
  buildArchitecture,
  forward,
  kindOf,
  type Layer,
  weightShape,
} from '../../src/network/index.js';
import { parseRunConfig, withDefaults } from '../../src/runs/config.js';
import { checkRun, problemOf, resumeRun, startRun } from '../../src/runs/run.js';
import { engines, normal, positive, runOn } from '../engine/reference.js';
import { runOnnx } from '../network/run-onnx.js';

const IMAGE = { height: 8, width: 8, channels: 3 };
const CLASSES = 3;
const folder = mkdtempSync(join(tmpdir(), 'dwp-model-start-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const model = join(folder, 'model.onnx');
let bytes: Uint8Array;
beforeAll(() => {
  const architecture = buildArchitecture('model', IMAGE, CLASSES, [
    { kind: 'conv', channels: 4, kernel: 3 },
    { kind: 'batch-norm' },
    { kind: 'relu' },
    { kind: 'max-pool', size: 2 },
    { kind: 'flatten' },
    { kind: 'dense', units: 5 },
    { kind: 'tanh' },
    { kind: 'dense', units: CLASSES },
  ]);
  let seed = 2001;
  const drawn = (shape: readonly number[], part: string) =>
    ['scale', 'variance'].includes(part) ? positive(seed++, ...shape) : normal(seed++, ...shape);
  const arraysOf = (layer: Layer) => {
    const kind = kindOf(layer);
    const shapes = Object.entries({ ...kind.parameters(layer), ...kind.state(layer) });
    return {
      ...(kind.weights && { weights: drawn(weightShape(layer), 'weights') }),
      ...Object.fromEntries(shapes.map(([part, { shape }]) => [part, drawn(shape, part)])),
    };
  };
  const weights = architecture.layers.map((layer) => [layer.name, arraysOf(layer)]);
  bytes = networkToOnnx(architecture, [Object.fromEntries(weights)]);
  writeFileSync(model, bytes);
});

/** Random images whose brightness is their class. */
function dataset(classes = CLASSES, channels = IMAGE.channels): Dataset {
  const count = 8 * classes;
  const stream = new RandomStream(seedKey(2020));
  const labels = Int32Array.from({ length: count }, (_, i) => i % classes);
  const size = 64 * channels;
  const images = Uint8Array.from({ length: count * size }, (_, i) =>
    Math.min(255, stream.integer(120) + 40 * labels[Math.floor(i / size)]),
  );
  const set: ImageSet = { images, labels, count, ...IMAGE, channels, classes };
  return { name: 'tiny', train: set, test: set };
}

const configOf = (more: Record<string, unknown> = {}) =>
  parseRunConfig({
    ...{ arch: model, init: 'model', prior: 'standard-normal', threads: 1 },
    ...{ examples: 12, batch: 4, steps: 6, samples: 2, temperature: 0 },
    ...more,
  });

/** Logits of the parameters that a run begins with, with the running averages that it begins with. */
async function logitsOf(run: string, images: NdArray): Promise<NdArray> {
  const { native } = await engines();
  const { architecture } = problemOf(withDefaults(configOf()), dataset()).model;
  const { parameters, averages } = readCheckpoint(run);
  type Inputs = { images: tf.Tensor4D; parameters: Tensors; averages: Tensors };
  const step = ({ images, parameters, averages }: Inputs) => ({
    logits: tf.clone(
      forward(architecture, images, {
        parameters,
        state: averages,
        random: (layer, x) => applyWeights(layer, x, parameters[`${layer.name}.mean`]),
      }).outputs,
    ),
  });
  const out = (await runOn(native, step as never, { images, parameters, averages })) as { logits: NdArray };
  return out.logits;
}

/** Begins a run that is stopped before its first step. @returns what it says */
async function begin(run: string, config: ReturnType<typeof configOf>, data = dataset()): Promise<string[]> {
  const said: string[] = [];
  const abort = new AbortController();
  abort.abort();
  const hooks = { dataset: data, signal: abort.signal, info: (line: string) => said.push(line) };
  await expect(startRun(config, run, hooks)).rejects.toMatchObject({ code: 'INTERRUPTED' });
  return said;
}

test('a run begins with the logits of the file', async () => {
  const run = join(folder, 'start');
  expect(await begin(run, configOf())).toEqual([`3 of 3 layers start at the weights of ${model}`]);
  const images = normal(2040, 5, IMAGE.height, IMAGE.width, IMAGE.channels);
  const [ours, theirs] = [await logitsOf(run, images), await runOnnx(bytes, images)];
  const furthest = Math.max(...Array.from(theirs.data, (x, i) => Math.abs(x - ours.data[i])));
  expect(Math.max(...theirs.data) - Math.min(...theirs.data)).toBeGreaterThan(1);
  expect(furthest).toBeLessThan(1e-4);
});

test('for another number of classes the classifier is new, and fitted to the features', async () => {
  const run = join(folder, 'classes');
  expect(await begin(run, configOf(), dataset(4))).toEqual([
    `dense2: a new classifier of 4 classes; that of ${model} has 3`,
    `2 of 3 layers start at the weights of ${model}`,
  ]);
  const { parameters } = readCheckpoint(run);
  expect(parameters['dense2.kernel'].shape).toEqual([5, 4]);
  expect(parameters['dense2.kernel'].data.some((x) => x !== 0)).toBe(true);
});

test('stopped and resumed between components, a run ends in the same bits; not with another file', async () => {
  const [whole, stopped, changed] = ['whole', 'stopped', 'changed'].map((name) => join(folder, name));
  const config = configOf({ components: 2 });
  await startRun(config, whole, { dataset: dataset() });
  for (const run of [stopped, changed]) {
    const abort = new AbortController();
    const progress = (_: string, step: number) => step === 4 && abort.abort();
    await expect(
      startRun(config, run, { dataset: dataset(), signal: abort.signal, progress }),
    ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  }
  await resumeRun(stopped, { dataset: dataset() });
  expect(readCheckpoint(stopped)).toEqual(readCheckpoint(whole));
  const other = Buffer.from(bytes);
  other[other.length - 40] ^= 1;
  writeFileSync(model, other);
  await expect(resumeRun(changed, { dataset: dataset() })).rejects.toThrow(
    /a prior or model of this run has changed/,
  );
  writeFileSync(model, bytes);
});

test.each<[string, Record<string, unknown>, Dataset, RegExp]>([
  ['a named network', { arch: 'lenet' }, dataset(), /--init model needs a network that has weights/],
  ['another width', { width: 2 }, dataset(), /--init model cannot be used with --width 2/],
  [
    'grey images',
    {},
    dataset(3, 1),
    /weights of layer conv1 are \[4, 3, 3, 3\] in .*, and \[4, 1, 3, 3\] for these/,
  ],
  [
    '--dense-start model alone',
    { init: 'xavier', denseStart: 'model' },
    dataset(),
    /--dense-start model needs --init model/,
  ],
])('refuses %s', (_, options, data, message) => {
  expect(() => checkRun(configOf(options), data)).toThrow(message);
});
