// The evidence lower bound of a trained network by its parts, averaged over many draws, at temperature 1.
import { boundNoise, boundTerms, kernelCount, type Model } from '../bounds/elbo.js';
import { HIERARCHICAL } from '../bounds/settings.js';
import { BatchOrder, gatherImages, gatherLabels, type ImageSet } from '../data/index.js';
import {
  type Engine,
  f32,
  foldIn,
  type Key,
  type NdArray,
  noiseFor,
  spec,
  type tf,
} from '../engine/index.js';
import { evaluateDensity } from '../evaluate/density.js';
import { randomLayers } from '../nn/index.js';
import type { Arrays, Tensors } from '../priors/index.js';
import { samplePosterior } from './sample-posterior.js';
import { priorConstants } from './train-network.js';

/** Nats for the whole training set; total = expectedLogLikelihood + priorTerm + entropyTerm ≤ log evidence. */
export interface BoundReport {
  total: number;
  expectedLogLikelihood: number;
  /** E_q log p(W), or a lower bound of it. */
  priorTerm: number;
  /** −E_q log q(W), the posterior's entropy. */
  entropyTerm: number;
  /**
   * How much higher the prior term is with INNER_SAMPLES importance samples: an estimate of its slack. Only where the
   * prior term is (1) with the encoder as fitted.
   */
  innerGap?: number;
  standardError: number;
  draws: number;
}

const DRAWS = 20;
const BATCH = 500;
const INNER_SAMPLES = 50;
/** K of (4) and (5) over all kernels. */
const MOST_SAMPLES = 20;

export async function finalBound(
  model: Model,
  images: ImageSet,
  rows: Int32Array,
  parameters: Arrays,
  engine: Engine,
  key: Key,
): Promise<BoundReport> {
  const bound = model.bound ?? HIERARCHICAL;
  const whole: Model = {
    ...model,
    kernelSubsample: Number.POSITIVE_INFINITY,
    estimator: 'weight-samples',
    // all kernels at once: fewer samples, a bound all the same
    bound: {
      ...bound,
      chain: undefined, // for gradients
      priorSamples: Math.min(bound.priorSamples, MOST_SAMPLES),
      posteriorSamples: Math.min(bound.posteriorSamples, MOST_SAMPLES),
    },
  };
  const order = new BatchOrder(rows.length, BATCH, foldIn(key, 'batches'));
  const specs = boundNoise(whole, order.size);
  const shape = [order.size, images.height, images.width, images.channels];
  const step = await engine.compile(
    (
      inputs: { images: tf.Tensor4D; labels: tf.Tensor1D; noise: Tensors },
      constants: { parameters: Tensors; priors: Tensors },
    ) => ({ ...boundTerms(whole, constants.parameters, inputs, inputs.noise, {}, constants.priors) }),
    {
      inputs: { images: spec(shape), labels: spec([order.size], 'int32'), noise: specs } as never,
      constants: { parameters, priors: priorConstants(whole) },
    },
  );
  const draws: { total: number; parts: number[] }[] = [];
  const pixels = f32(shape);
  const labels = { shape: [order.size], data: new Int32Array(order.size) };
  for (let m = 0; m < DRAWS; m++) {
    const picked = order.rows(m).map((i) => rows[i]);
    gatherImages(images, picked, pixels.data);
    gatherLabels(images, picked, labels.data);
    const out = (await step.run({
      images: pixels,
      labels,
      noise: noiseFor(specs, foldIn(key, m)),
    } as never)) as unknown as Record<string, NdArray>;
    const parts = [out.expectedLogLikelihood.data[0], out.priorTerm.data[0], out.entropyTerm.data[0]];
    draws.push({ parts, total: parts[0] + parts[1] + parts[2] });
  }
  await step.release();
  const mean = (f: (draw: (typeof draws)[number]) => number) =>
    draws.reduce((sum, draw) => sum + f(draw), 0) / DRAWS;
  const total = mean((draw) => draw.total);
  return {
    total,
    expectedLogLikelihood: mean(({ parts }) => parts[0]),
    priorTerm: mean(({ parts }) => parts[1]),
    entropyTerm: mean(({ parts }) => parts[2]),
    ...(bound.priorSamples === 1 &&
      bound.proposal === 'auxiliary' &&
      bound.encoder === 'frozen' && {
        innerGap: await innerGap(whole, parameters, engine, foldIn(key, 'inner')),
      }),
    standardError: Math.sqrt(mean((draw) => (draw.total - total) ** 2) / (DRAWS - 1)),
    draws: DRAWS,
  };
}

/** Σ over kernels of the INNER_SAMPLES-sample bound (4) minus bound (1), at one draw of the weights. */
async function innerGap(model: Model, parameters: Arrays, engine: Engine, key: Key): Promise<number> {
  let gap = 0;
  const weights = await samplePosterior(model, parameters, engine, key);
  for (const layer of randomLayers(model.architecture)) {
    const prior = model.priors[layer.name];
    if (prior?.density.kind !== 'latent') continue;
    const { elbo, bound } = await evaluateDensity(
      prior,
      weights[layer.name].data as Float32Array,
      INNER_SAMPLES,
      engine,
      foldIn(key, layer.name),
    );
    gap += (bound! - elbo!) * kernelCount(layer);
  }
  return gap;
}
