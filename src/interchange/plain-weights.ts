// A trained network as plain arrays, the means of its posterior: what other programs can be given.
import { type Arrays, type Engine, f32, foldIn, type NdArray, seedKey } from '../engine/index.js';
import {
  type Network,
  type StatisticsSource,
  sampledStatistics,
  statisticsSpecs,
} from '../evaluate/index.js';
import { kindOf, layerPart, parameterKey, weightShape } from '../network/index.js';
import { posteriors } from '../posteriors/index.js';
import { posteriorMeans } from '../train/sample-posterior.js';

/**
 * By layer: `weights` [out, in, h, w] where it has some ([out, in, 1, 1] of a dense one), and its other parameters and
 * running averages by their own names: `bias`, `scale`, `mean`.
 */
export type PlainWeights = Readonly<Record<string, Arrays>>;

/**
 * @param parameters with running averages
 * @param source images that statistics of batch normalisation are computed from, for these weights: the running averages are
 *   of other ones. Without it they are the running averages
 */
export async function plainWeights(
  network: Network,
  parameters: Arrays,
  engine: Engine,
  source?: StatisticsSource,
): Promise<PlainWeights> {
  const means = await posteriorMeans(network, parameters, engine, foldIn(seedKey(0), 'means'));
  const statistics = source ? await statisticsOfMeans(network, parameters, means, source, engine) : {};
  return Object.fromEntries(
    network.architecture.layers.map((layer): [string, Arrays] => {
      const all = layerPart({ ...parameters, ...statistics }, layer);
      const kind = kindOf(layer);
      const names = Object.keys({ ...kind.parameters(layer), ...kind.state(layer) });
      const ordinary = Object.fromEntries(names.map((name) => [name, all[name]]));
      if (!kind.weights) return [layer.name, ordinary];
      const weights = layer.random ? means[layer.name] : transposed(all.kernel, weightShape(layer));
      return [layer.name, { weights, ...ordinary }];
    }),
  );
}

async function statisticsOfMeans(
  { architecture }: Network,
  parameters: Arrays,
  means: Arrays,
  source: StatisticsSource,
  engine: Engine,
): Promise<Arrays> {
  if (Object.keys(statisticsSpecs(architecture)).length === 0) return {};
  const atMeans = Object.fromEntries(
    Object.entries(means).map(([name, mean]) => [parameterKey({ name }, 'mean'), mean]),
  );
  const network = { architecture, posterior: posteriors.point };
  const measured = await sampledStatistics(network, { ...parameters, ...atMeans }, source, engine);
  try {
    return await measured.of({});
  } finally {
    await measured.release();
  }
}

/** [in, out] → [out, in, 1, 1] */
function transposed({ data, shape: [inputs, out] }: NdArray, shape: readonly number[]): NdArray {
  return f32(
    shape,
    Float32Array.from(data, (_, i) => data[(i % inputs) * out + Math.floor(i / inputs)]),
  );
}
