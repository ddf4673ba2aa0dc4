// A published ONNX classifier as `dwp train --arch model.onnx --init model` begins with it, beside onnxruntime.
import { readFileSync, writeFileSync } from 'node:fs';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, ModelProtoSchema } from 'onnx-buf';
import type { Dataset, ImageSet } from '../../src/data/index.js';
import { type NdArray, RandomStream, seedKey, type Tensors, tf } from '../../src/engine/index.js';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import { applyWeights, forward, type ImageShape } from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { readNetwork } from '../../src/problems/network-file.js';
import { type Problem, prepare } from '../../src/problems/problem.js';
import { parseRunConfig, withDefaults } from '../../src/runs/config.js';
import { classifierLayer, initialState, storedClassifier } from '../../src/train/train-network.js';
import { engines, normal, runOn } from '../engine/reference.js';

const ort = await onnxruntime();

export interface Comparison {
  layers: number;
  classes: number;
  /** Between the largest and the smallest of onnxruntime's logits. */
  range: number;
  /** Largest difference of a logit from onnxruntime's. */
  furthest: number;
}

/** @param images how many random ones: of three channels, `size` high and wide */
export async function compareWithOnnxruntime(
  path: string,
  { images: count = 2, size, seed }: { images?: number; size: number; seed: number },
): Promise<Comparison> {
  const shape = { height: size, width: size, channels: 3 };
  const described = readNetwork(path);
  if (typeof described === 'string' || !described.classes) throw new TypeError(path);
  const { classes } = described;
  const config = parseRunConfig({ arch: path, init: 'model', prior: 'none', examples: classes });
  const posterior = posteriors.point;
  const weights = { posterior, estimator: 'weight-samples', kernelSubsample: 1 } as const;
  const problem = prepare(withDefaults(config), weights, datasetOf(shape, classes));
  const images = normal(seed, count, size, size, 3);
  const ours = await startingLogits(problem, images);
  const theirs = await runModel(readFileSync(path), images);
  const furthest = Math.max(...theirs.map((x, i) => Math.abs(x - ours[i])));
  const range = Math.max(...theirs) - Math.min(...theirs);
  return { layers: problem.model.architecture.layers.length, classes, range, furthest };
}

/** One image of each class. */
function datasetOf({ height, width, channels }: ImageShape, classes: number): Dataset {
  const set: ImageSet = {
    count: classes,
    ...{ height, width, channels, classes },
    images: new Uint8Array(classes * height * width * channels),
    labels: Int32Array.from({ length: classes }, (_, i) => i),
  };
  return { train: set, test: set } as Dataset;
}

/** Logits of the network that training begins with, with the running averages of the file. */
async function startingLogits(problem: Problem, images: NdArray): Promise<number[]> {
  const { native } = await engines();
  const { architecture } = problem.model;
  const stored = problem.stored();
  const head = classifierLayer(architecture);
  const { parameters, averages } = initialState({
    architecture,
    posterior: posteriors.point,
    weights: await problem.weights(native, 0),
    logStd: 0,
    key: seedKey(0),
    ...(head && { denseStart: storedClassifier(head, stored) }),
    stored,
  });
  type Inputs = { images: tf.Tensor4D; parameters: Tensors; state: Tensors };
  const step = ({ images, parameters, state }: Inputs) => ({
    logits: tf.clone(
      forward(architecture, images, {
        parameters,
        state,
        random: (layer, x) => applyWeights(layer, x, parameters[`${layer.name}.mean`]),
      }).outputs,
    ),
  });
  const inputs = { images, parameters, state: averages };
  const out = (await runOn(native, step as never, inputs)) as { logits: { data: Float32Array } };
  return Array.from(out.logits.data);
}

/** @param images [n, h, w, c]. @returns what the graph makes before a softmax at its end */
async function runModel(bytes: Uint8Array, { shape: [n, h, w, c], data }: NdArray): Promise<number[]> {
  const model = fromBinary(ModelProtoSchema, bytes);
  const graph = model.graph!;
  const initial = new Set(graph.initializer.map(({ name }) => name));
  const input = graph.input.find(({ name }) => !initial.has(name))!;
  const sizes = input.type!.value.case === 'tensorType' ? input.type!.value.value.shape!.dim : [];
  const channelsLast = sizes.at(-1)?.value.value === BigInt(c);
  const pixels = channelsLast ? Float32Array.from(data) : new Float32Array(data.length);
  if (!channelsLast)
    for (let i = 0; i < n; i++)
      for (let at = 0; at < h * w; at++)
        for (let k = 0; k < c; k++) pixels[(i * c + k) * h * w + at] = data[(i * h * w + at) * c + k];
  openSizes(graph);
  cutSoftmax(graph);
  const session = await ort.InferenceSession.create(toBinary(ModelProtoSchema, model), {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  const dims = channelsLast ? [n, h, w, c] : [n, c, h, w];
  const results = await session.run({ [input.name]: new ort.Tensor('float32', pixels, dims) });
  const out = Array.from(results[graph.output[0].name].data as Float32Array);
  await session.release();
  return out;
}

/** Sizes of inputs and outputs are left open, so that any number of images goes. */
function openSizes(graph: GraphProto): void {
  for (const { type } of [...graph.input, ...graph.output])
    if (type?.value.case === 'tensorType' && type.value.value.shape) {
      const [first] = type.value.value.shape.dim;
      first.value = { case: 'dimParam', value: 'n' };
    }
}

function cutSoftmax(graph: GraphProto): void {
  const makerOf = (name: string) => graph.node.find(({ output }) => output.includes(name));
  let [{ name }] = graph.output;
  for (let node = makerOf(name); node && /^(Log)?Softmax$|^Identity$/.test(node.opType); node = makerOf(name))
    [name] = node.input;
  graph.output[0].name = name;
}

/**
 * A model of the ONNX project whose weights are all one number, with random ones in their place: normal by He's rule, and
 * near 1 where an array is positive for batch normalisation.
 */
export function withRandomWeights(from: string, to: string, seed: number): void {
  const model: ModelProto = fromBinary(ModelProtoSchema, readFileSync(from));
  const graph = model.graph!;
  const stream = new RandomStream(seedKey(seed));
  const sizes = new Map(
    graph.initializer
      .filter(({ dataType }) => dataType === 7) // INT64
      .map(({ name, int64Data, rawData }) => [
        name,
        int64Data.length > 0
          ? int64Data.map(Number)
          : Array.from(new BigInt64Array(Uint8Array.from(rawData).buffer), Number),
      ]),
  );
  const positive = new Set(
    graph.node.flatMap(({ opType, input }) => (opType === 'BatchNormalization' ? [input[1], input[4]] : [])),
  );
  for (const node of graph.node) {
    if (node.opType !== 'ConstantOfShape') continue;
    const shape = sizes.get(node.input[0])!;
    const [name] = node.output;
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    stream.fillNormal(values);
    const inputs = shape.slice(1).reduce((a, b) => a * b, 1);
    const scale = shape.length > 1 ? Math.sqrt(2 / inputs) : 0.2;
    for (let i = 0; i < values.length; i++)
      values[i] = positive.has(name) ? Math.exp(0.3 * values[i]) : scale * values[i];
    node.opType = 'Constant';
    node.input = [];
    const value = node.attribute.find((attribute) => attribute.name === 'value')!;
    value.t!.dims = shape.map(BigInt);
    value.t!.dataType = 1;
    value.t!.floatData = [];
    value.t!.rawData = new Uint8Array(values.buffer);
  }
  writeFileSync(to, toBinary(ModelProtoSchema, model));
}
