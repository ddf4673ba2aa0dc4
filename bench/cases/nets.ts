// Deterministic networks: cross-entropy, gradients and Adam on one batch of 64 that stays in memory.
import {
  type Engine,
  f32,
  foldIn,
  type NdArray,
  RandomStream,
  seedKey,
  spec,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { adam, correctedRate, type Moments, zeroMoments } from '../../src/train/adam.js';
import { type Case, COMPARED_STEPS, type Prepared, WARM_UP } from '../case.js';
import { cifar } from '../nets/cifar.js';
import type { Arrays, Net, Tensors } from '../nets/net.js';
import { resnet20 } from '../nets/resnet20.js';
import { type Inputs, prefixed } from '../record.js';

const BATCH = 64;
/** Small: larger steps of Adam amplify rounding errors, and the losses would part for no reason. */
const LEARNING_RATE = 1e-4;
const KEY = seedKey(1);

interface State<T> {
  parameters: Readonly<Record<string, T>>;
  moments: Moments<T>;
  running: Readonly<Record<string, T>>;
}

async function prepare(net: Net, engine: Engine): Promise<Prepared> {
  const parameters = net.parameters(foldIn(KEY, net.name));
  const images = f32([BATCH, 32, 32, 3]);
  const stream = new RandomStream(foldIn(KEY, 'images'));
  for (let i = 0; i < images.data.length; i++) images.data[i] = stream.uniform();
  const labels = { shape: [BATCH], data: Int32Array.from({ length: BATCH }, () => stream.integer(10)) };
  let state: State<NdArray> = { parameters, moments: zeroMoments(parameters), running: net.running };
  let t = 0;

  const compiled = await engine.compile(
    (inputs: State<tf.Tensor> & { images: tf.Tensor4D; labels: tf.Tensor1D; rate: tf.Scalar }) => {
      const { objective, aux, gradients } = valueAndGradients((p: Tensors) => {
        const { logits, running } = net.forward(p, inputs.running, inputs.images);
        const logProbabilities = tf.mul(tf.logSoftmax(logits), tf.oneHot(inputs.labels, 10));
        const objective = tf.div(tf.sum(logProbabilities), -BATCH) as tf.Scalar;
        return { objective, aux: { running } };
      }, inputs.parameters);
      return {
        crossEntropy: objective,
        running: aux.running,
        ...adam(inputs.parameters, gradients, inputs.moments, inputs.rate),
      };
    },
    {
      inputs: {
        ...state,
        images: spec(images.shape),
        labels: spec([BATCH], 'int32'),
        rate: spec([]),
      } as never,
    },
  );

  /** @returns the cross-entropy before the update, nats per image */
  async function step(): Promise<number> {
    const rate = f32([], Float32Array.of(correctedRate(LEARNING_RATE, ++t)));
    const out = await compiled.run({ ...state, images, labels, rate } as never);
    const { crossEntropy, ...next } = out as unknown as State<NdArray> & { crossEntropy: NdArray };
    state = next;
    return crossEntropy.data[0];
  }

  const losses: number[][] = [];
  while (losses.length < COMPARED_STEPS) losses.push([await step()]);
  const tensors: Inputs = { ...prefixed('parameters', parameters as Arrays), images, labels };
  return {
    reference: {
      tensors: tensors as Prepared['reference']['tensors'],
      settings: { steps: COMPARED_STEPS, learningRate: LEARNING_RATE },
      losses,
    },
    async time(units) {
      for (let i = 0; i < WARM_UP; i++) await step();
      const started = performance.now();
      for (let i = 0; i < units; i++) await step();
      return (performance.now() - started) / units;
    },
    release: () => compiled.release(),
  };
}

export const netCases: Case[] = [cifar, resnet20].map((net) => ({
  name: net.name,
  title: net.title,
  unit: 'step',
  peer: net.name,
  // Forward, gradients of weights, gradients of activations (not of the images).
  gflop: (2 * BATCH * (3 * net.multiplyAdds.all - net.multiplyAdds.first)) / 1e9,
  target: 1,
  prepare: (engine) => prepare(net, engine),
}));
