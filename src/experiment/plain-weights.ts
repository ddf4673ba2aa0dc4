// A trained network as plain weights, the means of its posterior: what other programs can be given.
import { type Engine, f32, foldIn, type NdArray, seedKey } from '../engine/index.js';
import type { Network } from '../evaluate/index.js';
import { convLayers, denseLayers } from '../nn/index.js';
import { posteriorMeans } from '../train/sample-posterior.js';

/** By layer: `kernel` [out, in, h, w] of a convolution or [in, out] of a dense layer, and `bias` [out]. */
export type PlainWeights = Readonly<Record<string, { kernel: NdArray; bias: NdArray }>>;

export async function plainWeights(
  network: Network,
  parameters: Readonly<Record<string, NdArray>>,
  engine: Engine,
): Promise<PlainWeights> {
  const means = await posteriorMeans(network, parameters, engine, foldIn(seedKey(0), 'means'));
  const layer = (name: string, kernel: NdArray) => {
    const [outputs] = means[name]?.shape ?? [kernel.shape[1]];
    return [name, { kernel, bias: parameters[`${name}.bias`] ?? f32([outputs]) }];
  };
  return Object.fromEntries([
    ...convLayers(network.architecture).map(({ name }) => layer(name, means[name])),
    ...denseLayers(network.architecture).map(({ name, random }) =>
      layer(name, random ? transposed(means[name]) : parameters[`${name}.kernel`]),
    ),
  ]);
}

/** [out, in, 1, 1] → [in, out] */
function transposed({ data, shape: [out, inputs] }: NdArray): NdArray {
  return f32(
    [inputs, out],
    Float32Array.from(data, (_, i) => data[(i % out) * inputs + Math.floor(i / out)]),
  );
}
