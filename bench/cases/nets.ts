// Deterministic networks: cross-entropy, gradients and Adam on one batch of 64 that stays in memory.
import {
  type Engine,
  f32,
  foldIn,
  layoutOf,
  packedArrays,
  RandomStream,
  seedKey,
  spec,
  tf,
  unpack,
  valueAndGradients,
} from '../../src/engine/index.js';
import { type AdamVectors, adam, initialAdam, packAdam } from '../../src/train/adam.js';
import { type Case, COMPARED_STEPS, type Prepared, WARM_UP } from '../case.js';
import { now } from '../clock.js';
import { cifar } from '../nets/cifar.js';
import type { Arrays, Net, Tensors } from '../nets/net.js';
import { resnet20 } from '../nets/resnet20.js';
import { type Inputs, prefixed } from '../record.js';

const BATCH = 64;
/** Small: larger steps of Adam amplify rounding errors, and the losses would part for no reason. */
const LEARNING_RATE = 1e-4;
const KEY = seedKey(1);
const optimiser = adam();

async function prepare(net: Net, engine: Engine): Promise<Prepared> {
  const parameters = net.parameters(foldIn(KEY, net.name));
  const images = f32([BATCH, 32, 32, 3]);
  const stream = new RandomStream(foldIn(KEY, 'images'));
  for (let i = 0; i < images.data.length; i++) images.data[i] = stream.uniform();
  const labels = { shape: [BATCH], data: Int32Array.from({ length: BATCH }, () => stream.integer(10)) };
  const layout = layoutOf(parameters);
  const statistics = layoutOf(net.running); // of batch normalisation
  let current = {
    ...packAdam(layout, initialAdam(parameters)).vectors,
    running: packedArrays(statistics, net.running).views,
  };
  let next = { ...packAdam(layout).vectors, running: packedArrays(statistics).views };
  const rate = f32([]);
  const crossEntropy = f32([]);
  let t = 0;

  interface StepInputs extends AdamVectors<tf.Tensor> {
    running: Tensors;
    images: tf.Tensor4D;
    labels: tf.Tensor1D;
    rate: tf.Scalar;
  }
  const compiled = await engine.compile(
    (inputs: StepInputs) => {
      const { objective, aux, gradients } = valueAndGradients(
        ({ vector }) => {
          const { logits, running } = net.forward(unpack(vector, layout), inputs.running, inputs.images);
          const logProbabilities = tf.mul(tf.logSoftmax(logits), tf.oneHot(inputs.labels, 10));
          return { objective: tf.div(tf.sum(logProbabilities), -BATCH) as tf.Scalar, aux: { running } };
        },
        { vector: inputs.parameters },
      );
      return {
        crossEntropy: objective,
        running: aux.running,
        ...optimiser.update(gradients.vector, inputs.moments, inputs.parameters, inputs.rate),
      };
    },
    { inputs: { ...current, images, labels: spec([BATCH], 'int32'), rate } as never },
  );

  /** @returns the cross-entropy before the update, nats per image */
  async function step(): Promise<number> {
    rate.data[0] = optimiser.rate(LEARNING_RATE, ++t);
    await compiled.run({ ...current, images, labels, rate } as never, { crossEntropy, ...next } as never);
    [current, next] = [next, current];
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
      const started = now();
      for (let i = 0; i < units; i++) await step();
      return (now() - started) / units;
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
