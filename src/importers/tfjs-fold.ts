// --fold-bn for TensorFlow.js models made of layers: pairs by the connections of the topology, as in Keras files.
import { fieldsOf } from '../formats/untyped.js';
import { type BatchNorm, DEFAULT_EPSILON, foldPairs, type Pair } from './fold-batch-norm.js';
import { type KerasNode, toNode } from './keras-config.js';
import { kerasPairs } from './keras-graph.js';
import type { ConvLayer, ModelLayers } from './layers.js';
import { stored } from './tfjs-nodes.js';
import type { StoredWeight } from './tfjs-weights.js';

/** @param topology `{ model_config: { class_name, config } }`, or the configuration itself */
export function foldTfjsLayers(
  model: ModelLayers,
  topology: unknown,
  weights: ReadonlyMap<string, StoredWeight>,
): ModelLayers {
  const config = toNode(fieldsOf(topology).model_config ?? topology);
  const norms = [...weights.values()].filter(({ name }) => /(^|\/)moving_variance(_\d+)?(:\d+)?$/.test(name));
  if (!config)
    return foldPairs(
      model,
      [],
      norms.map(({ name }) => ({
        batchNorm: ownerOf(name),
        reason:
          'the file has no topology that tells which convolution it follows; give the model.json beside it',
      })),
    );
  const { after, left } = kerasPairs(config);
  const pairs: Pair[] = [];
  const notFolded = [...left].map(([{ name }, reason]) => ({ batchNorm: name, reason }));
  for (const [conv, norm] of after) {
    const layer = layerOf(model.layers, conv);
    const numbers = layer ? batchNormOf(norm, weights) : `the weights of ${conv.name} are not read`;
    if (layer && typeof numbers === 'object') pairs.push({ layer, norm: numbers });
    else notFolded.push({ batchNorm: norm.name, reason: String(numbers) });
  }
  return foldPairs(model, pairs, notFolded);
}

const ownerOf = (name: string) => name.split('/').slice(0, -1).join('/');

/** The layer of that name, of a separable one the second kernel; undefined where two have the name. */
function layerOf(layers: readonly ConvLayer[], { name }: KerasNode): ConvLayer | undefined {
  const namesakes = layers.filter((layer) => layer.name.split('/').includes(name));
  if (namesakes.length === 1) return namesakes[0];
  const pointwise = namesakes.filter((layer) => /pointwise_kernel(_\d+)?(:\d+)?$/.test(layer.name));
  return pointwise.length === 1 ? pointwise[0] : undefined;
}

function batchNormOf(
  { name, config }: KerasNode,
  weights: ReadonlyMap<string, StoredWeight>,
): BatchNorm | string {
  const variable = (which: string) => {
    const found = [...weights.values()].filter((weight) => {
      const parts = weight.name.split('/');
      return parts.includes(name) && parts.at(-1)!.replace(/:\d+$/, '').replace(/_\d+$/, '') === which;
    });
    return found.length === 1 ? found[0] : undefined;
  };
  const variance = variable('moving_variance');
  const gamma = config.scale === false ? undefined : variable('gamma');
  if (variance?.shape.length !== 1) return 'its variance is not in the file';
  if (config.scale !== false && gamma?.shape.join() !== variance.shape.join())
    return 'its scale γ is not in the file';
  const [spread, scale] = [stored(variance), gamma && stored(gamma)];
  if (typeof spread === 'string' || typeof scale === 'string') return 'its values are not float';
  const given = typeof config.epsilon === 'number';
  return {
    ...{ name, channels: variance.shape[0] },
    epsilon: given ? (config.epsilon as number) : DEFAULT_EPSILON.keras,
    ...(!given && { assumed: true }),
    ...(scale && { gamma: scale.read }),
    variance: spread.read,
  };
}
