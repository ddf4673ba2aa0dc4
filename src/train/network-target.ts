// The posterior of a network's weights as a density that chains can walk in, exactly, whatever the prior. A prior says
// how kernels are made of standard normals u, latent variables included: W = g(u). So p(u | 𝒟) ∝ p(𝒟 | g(u)) N(u | 0, I)
// is a posterior of u whose W = g(u) has the law p(W | 𝒟), though p(W) itself may have no formula.
import type { Model } from '../bounds/elbo.js';
import { gatherImages, gatherLabels, type ImageSet } from '../data/index.js';
import {
  type Engine,
  f32,
  type Layout,
  layoutOf,
  sizeOf,
  spec,
  tf,
  unpack,
  valueAndGradients,
} from '../engine/index.js';
import {
  applyWeights,
  isBiased,
  kernelLayout,
  layerPart,
  logLikelihood,
  networkLogits,
  parameterKey,
  randomLayers,
  weightShape,
} from '../network/index.js';
import type { Arrays, Tensors } from '../priors/index.js';
import { priorConstants } from './train-network.js';

/** Images in one run of the network. */
const CHUNK = 500;
/** Judged images whose prediction is observed. */
const OBSERVED = 8;

export type SampledModel = Pick<Model, 'architecture' | 'priors' | 'logLikelihood'>;

/** Parts of u: the normals that a layer's kernels are made of, and its bias if it has one, which is N(0, 1). */
export function normalsLayout({ architecture, priors }: SampledModel): Layout {
  return layoutOf(
    Object.fromEntries(
      randomLayers(architecture).flatMap((layer) => {
        const [out] = weightShape(layer);
        const normals = Object.entries(priors[layer.name].generateNoise(kernelLayout(layer).count));
        return [
          ...normals.map(([name, { shape }]) => [parameterKey(layer, name), { shape }]),
          ...(isBiased(layer) ? [[parameterKey(layer, 'bias'), { shape: [out] }]] : []),
        ];
      }),
    ),
  );
}

/** W = g(u): parameters of a point posterior, `layer.mean` [out, in, h, w] and `layer.bias` [out]. */
function weightsOf({ architecture, priors }: SampledModel, u: Tensors, priorParameters: Tensors): Tensors {
  return Object.fromEntries(
    randomLayers(architecture).flatMap((layer) => {
      const { bias, ...normals } = layerPart(u, layer);
      const kernels = priors[layer.name].generate(layerPart(priorParameters, layer), normals);
      return [
        [parameterKey(layer, 'mean'), tf.reshape(kernels, [...weightShape(layer)])],
        ...(isBiased(layer) ? [[parameterKey(layer, 'bias'), bias]] : []),
      ];
    }),
  );
}

const logitsOf = ({ architecture }: SampledModel, weights: Tensors, images: tf.Tensor4D) =>
  networkLogits(
    architecture,
    {
      parameters: weights,
      random: (layer, x) => applyWeights(layer, x, weights[parameterKey(layer, 'mean')]),
    },
    images,
  );

export interface NetworkTarget {
  /** Length of u. */
  size: number;
  /**
   * Σ log p(y|x, g(u)) over rows of the images, nats; its gradient is written into `gradient`. Either may be NaN where u
   * is far from everything.
   */
  logLikelihood(u: Float32Array, rows: Int32Array, gradient: Float32Array): Promise<number>;
  /** The network of u, and log p(y|x) of the first judged images. */
  observe(u: Float32Array): Promise<{ parameters: Arrays; heldOut: Float32Array }>;
  release(): Promise<void>;
}

export async function networkTarget(
  model: SampledModel,
  images: ImageSet,
  judged: ImageSet,
  engine: Engine,
): Promise<NetworkTarget> {
  const layout = normalsLayout(model);
  const size = layout.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const constants = priorConstants({ priors: model.priors } as Model);
  const { height, width, channels } = images;

  const compile = (n: number) =>
    engine.compile(
      ({ u, images, labels }, priorParameters) => {
        const { objective, gradients } = valueAndGradients(
          ({ u }) => {
            const outputs = logitsOf(model, weightsOf(model, unpack(u, layout), priorParameters), images);
            return { objective: (model.logLikelihood ?? logLikelihood)(outputs, labels), aux: {} };
          },
          { u },
        );
        return { value: objective, gradient: gradients.u };
      },
      {
        inputs: {
          u: spec([size]),
          images: spec([n, height, width, channels]),
          labels: spec([n], 'int32'),
        },
        constants,
        allowNaN: true, // where a trajectory has left the numbers: it is refused
      },
    );
  const steps = new Map<number, Awaited<ReturnType<typeof compile>>>();

  const observed = Math.min(OBSERVED, judged.count);
  const pixels = f32([observed, height, width, channels]);
  gatherImages(
    judged,
    Int32Array.from({ length: observed }, (_, i) => i),
    pixels.data,
  );
  const observing = await engine.compile(
    ({ u }, { priors, images }) => {
      const weights = weightsOf(model, unpack(u, layout), priors);
      return {
        parameters: Object.fromEntries(Object.entries(weights).map(([name, x]) => [name, tf.clone(x)])),
        logProbabilities: tf.logSoftmax(logitsOf(model, weights, images)),
      };
    },
    { inputs: { u: spec([size]) }, constants: { priors: constants, images: pixels } },
  );

  return {
    size,
    async logLikelihood(u, rows, gradient) {
      gradient.fill(0);
      let total = 0;
      for (let start = 0; start < rows.length; start += CHUNK) {
        const part = rows.subarray(start, start + CHUNK);
        const n = part.length;
        if (!steps.has(n)) steps.set(n, await compile(n));
        const images32 = f32([n, height, width, channels]);
        const labels = { shape: [n], data: new Int32Array(n) };
        gatherImages(images, part, images32.data);
        gatherLabels(images, part, labels.data);
        const out = await steps.get(n)!.run({ u: f32([size], u), images: images32, labels });
        total += out.value.data[0];
        for (let i = 0; i < size; i++) gradient[i] += out.gradient.data[i];
      }
      return total;
    },
    async observe(u) {
      const out = await observing.run({ u: f32([size], u) });
      const { shape, data } = out.logProbabilities;
      const heldOut = Float32Array.from(
        { length: observed },
        (_, i) => data[i * shape[1] + judged.labels[i]],
      );
      return { parameters: out.parameters, heldOut };
    },
    async release() {
      for (const step of steps.values()) await step.release();
      await observing.release();
    },
  };
}
