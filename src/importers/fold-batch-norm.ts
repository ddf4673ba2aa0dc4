// Batch normalisation after a convolution, multiplied into its kernels: W · γ / √(σ² + ε) for each output channel.
// Importers find the pairs, in a graph (keras-graph.ts, onnx-layers.ts, …) or by names (pair-by-name.ts).
import { inputError } from '../errors.js';
import type { BatchNormRecord, ConvLayer, ModelLayers } from './layers.js';

/** What ε is where the file does not say: each framework's default. */
export const DEFAULT_EPSILON = {
  torch: 1e-5,
  keras: 1e-3,
  flax: 1e-5,
  chainer: 2e-5,
  mlx: 1e-5,
  tfjs: 1e-3,
} as const;

type Values = () => Float32Array | Promise<Float32Array>;

export interface BatchNorm {
  name: string;
  channels: number;
  epsilon: number;
  /** Whether ε is a default, not a number of the file. */
  assumed?: boolean;
  /** γ [channels]; 1 where the layer has none. */
  gamma?: Values;
  /** σ² [channels]; absent where the file holds γ / √(σ² + ε) itself, as {@link BatchNorm.gamma}. */
  variance?: Values;
}

/** @returns the layer with its kernels multiplied; `read` throws INPUT where σ² + ε is not positive or γ not finite */
export function foldInto(layer: ConvLayer, { name, epsilon, gamma, variance }: BatchNorm): ConvLayer {
  const [out, inputs, h, w] = layer.shape;
  const size = inputs * h * w;
  return {
    ...layer,
    read: async () => {
      const [scale, spread] = [await gamma?.(), await variance?.()];
      const factors = Float64Array.from(
        { length: out },
        (_, o) => (scale?.[o] ?? 1) / (spread ? Math.sqrt(spread[o] + epsilon) : 1),
      );
      const bad = factors.findIndex((factor) => !Number.isFinite(factor));
      if (bad !== -1)
        throw inputError(
          `${layer.name}: batch normalisation ${name} cannot be folded: channel ${bad} has ${spread ? `the variance ${spread[bad]} and ` : ''}the scale ${scale?.[bad] ?? 1}`,
          'leave out --fold-bn, or fetch the file again',
        );
      return (await layer.read()).map((x, i) => x * factors[Math.floor(i / size)]);
    },
  };
}

export interface Pair {
  layer: ConvLayer;
  norm: BatchNorm;
}

/**
 * @param pairs convolutions with the batch norm that is applied to their result and to nothing else
 * @param left batch norms that stay, and why
 * @returns the model with these layers folded, and a record of it; a pair whose channels differ stays
 */
export function foldPairs(
  model: ModelLayers,
  pairs: readonly Pair[],
  left: readonly { batchNorm: string; reason: string }[],
): ModelLayers {
  const notFolded = [...left];
  const folded = new Map<ConvLayer, ConvLayer>();
  const assumed = new Set<number>();
  for (const { layer, norm } of pairs) {
    if (layer.shape[0] !== norm.channels) {
      const reason = `it has ${norm.channels} channels, the convolution ${layer.name} has ${layer.shape[0]} outputs`;
      notFolded.push({ batchNorm: norm.name, reason });
      continue;
    }
    folded.set(layer, foldInto(layer, norm));
    if (norm.assumed) assumed.add(norm.epsilon);
  }
  const batchNorms: BatchNormRecord = { folded: folded.size, notFolded };
  const notes = [
    ...(model.notes ?? []),
    ...[...assumed].map(
      (epsilon) => `the file does not give ε of its batch normalisation: ${epsilon} is taken, the default`,
    ),
  ];
  return {
    ...model,
    layers: model.layers.map((layer) => folded.get(layer) ?? layer),
    ...(notes.length > 0 && { notes }),
    batchNorms,
  };
}
