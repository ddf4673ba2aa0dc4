// TensorFlow.js: layers-models and graph-models (model.json and its shards), and manifests of weights alone.
import { inputError } from '../errors.js';
import { type ByteSource, readJsonSource, shown } from '../formats/source.js';
import { fieldsOf, listOf, textOf } from '../formats/untyped.js';
import type { Importer, ReadOptions } from './importer.js';
import type { ConvLayer, LayerKind, ModelLayers } from './layers.js';
import { seenTensors } from './seen-tensors.js';
import { foldTfjsLayers } from './tfjs-fold.js';
import { graphLayers, tensorflowLayer } from './tfjs-graph.js';
import { stored } from './tfjs-nodes.js';
import { readManifest, type StoredWeight } from './tfjs-weights.js';

/** Of JSON; weights are beside it. Parsing a hostile file can take thirty times as much memory. */
const LONGEST_JSON = 2 ** 24;
const DEEPEST = 64; // layers within models within models

export const tfjs: Importer = {
  format: 'tfjs',
  title: 'TensorFlow.js',
  extensions: ['model.json', 'weights_manifest.json'],
  sharedExtensions: ['.json'],
  recognises: (head, path) => {
    const text = new TextDecoder().decode(head);
    const name = path.toLowerCase();
    if (/^\s*\{/.test(text))
      return (
        name.endsWith('model.json') || /"(modelTopology|weightsManifest|graph-model|layers-model)"/.test(text)
      );
    return (
      /^\s*\[/.test(text) &&
      (name.endsWith('weights_manifest.json') || /^\s*\[\s*\{\s*"(paths|weights)"\s*:/.test(text))
    );
  },
  read: async (source, options) => readTfjs(source, options),
};

/** @throws DwpError INPUT when the file is no model or manifest, or a shard is missing or too short */
function readTfjs(source: ByteSource, { foldBatchNorm }: ReadOptions = {}): ModelLayers {
  const json = readJsonSource(source, LONGEST_JSON);
  const { modelTopology, weightsManifest, generatedBy, convertedBy, userDefinedMetadata } = fieldsOf(json);
  const manifest = Array.isArray(json) ? json : weightsManifest;
  if (!listOf(manifest).some((group) => Array.isArray(fieldsOf(group).weights)))
    throw inputError(
      `${source.path}: not a model of TensorFlow.js with weights (it has no weightsManifest)`,
      'check that this is the right file',
    );
  const weights = readManifest(manifest, source);
  const graph = Array.isArray(fieldsOf(modelTopology).node);
  const read = graph
    ? graphLayers(modelTopology, weights, foldBatchNorm)
    : namedLayers(weights, layerClasses(modelTopology));
  const model = foldBatchNorm && !graph ? foldTfjsLayers(read, modelTopology, weights) : read;
  const writers = [
    graph ? textOf(generatedBy)?.replace(/^(?=\d)/, 'TensorFlow ') : textOf(generatedBy),
    textOf(convertedBy),
  ];
  const producer = writers.filter(Boolean).join(', ').slice(0, 200);
  const { license, licence } = fieldsOf(userDefinedMetadata);
  const stated = textOf(license) ?? textOf(licence);
  const advice = model.layers.length === 0 && adviceFor(model, weights, graph);
  return {
    ...model,
    ...(advice && { advice }),
    ...(producer && { producer }),
    ...(stated && { licence: stated }),
  };
}

/** Where there are no layers: which weights the file has, and what to do. */
function adviceFor(
  { skipped }: ModelLayers,
  weights: ReadonlyMap<string, StoredWeight>,
  graph: boolean,
): string {
  const some = (pattern: RegExp) => skipped.some(({ reason }) => pattern.test(reason));
  const what = some(/not float/)
    ? 'save the model in float32 or float16'
    : some(/input of the graph|computed|not constant|manifest has no weights/)
      ? 'convert the model again with its variables frozen (tensorflowjs_converter of a SavedModel)'
      : some(/layer of class/)
        ? 'convert the model to a graph model (tensorflowjs_converter --output_format tfjs_graph_model), which stores layers of every class by their operations'
        : some(/no known convolution/)
          ? 'give the model.json that has the topology'
          : graph
            ? 'none is the weights of a 2-D convolution: use a model with 2-D convolutions'
            : 'convolutions have 4-D weights called kernel: use a model with 2-D convolutions';
  return `${seenTensors([...weights.values()])}; ${what}`;
}

interface LayerClass {
  className: string;
  groups: number;
}

/** Class of every layer by name, of models inside the model too; of a wrapper, the class of what it wraps. */
function layerClasses(topology: unknown): Map<string, LayerClass> {
  const classes = new Map<string, LayerClass>();
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > DEEPEST) return;
    const { class_name: configClass, config } = fieldsOf(value);
    const { name, groups, layer } = fieldsOf(config);
    const className = textOf(fieldsOf(layer).class_name) ?? textOf(configClass);
    if (className !== undefined && typeof name === 'string')
      classes.set(name, { className, groups: typeof groups === 'number' ? groups : 1 });
    for (const child of Object.values(value)) visit(child, depth + 1);
  };
  visit(topology, 0);
  return classes;
}

/** Weights that go by their names: those of Keras layers, and those of manifests alone. */
function namedLayers(
  weights: ReadonlyMap<string, StoredWeight>,
  classes: ReadonlyMap<string, LayerClass>,
): ModelLayers {
  const result: ModelLayers = { layers: [], skipped: [] };
  for (const weight of weights.values()) {
    const layer = namedLayer(weight, classes);
    if (typeof layer === 'string') result.skipped.push({ layer: weight.name, reason: layer });
    else if (layer) result.layers.push(layer);
  }
  return result;
}

/** The layer, a reason why it is left out, or undefined for a weight that is no convolution's. */
function namedLayer(
  weight: StoredWeight,
  classes: ReadonlyMap<string, LayerClass>,
): ConvLayer | string | undefined {
  const { name, shape } = weight;
  if (shape.length < 3 || shape.length > 5) return undefined;
  const parts = name.split('/');
  const variable = parts.at(-1)!.replace(/:\d+$/, '').replace(/_\d+$/, '');
  const owner = parts.findLast((part, i) => i < parts.length - 1 && classes.has(part));
  const known = classes.get(owner ?? '');
  const kind = known ? kindOfClass(known.className, variable) : kindOfName(parts);
  if (shape.length !== 4) {
    const convolution = known ? /conv/i.test(known.className) && /kernel/.test(variable) : kind !== undefined;
    return convolution ? `a ${shape.length - 2}-D convolution` : undefined;
  }
  if (!kind)
    return known
      ? `a layer of class ${shown(known.className)}`
      : 'a 4-D weight that no known convolution has';
  const found = stored(weight);
  if (typeof found === 'string') return found;
  // a kernel is the layer itself; of a separable layer there are two
  const title = variable === 'kernel' && parts.length > 1 ? parts.slice(0, -1).join('/') : name;
  const eachChannel = kind === 'conv' && (known?.groups ?? 1) > 1 && shape[2] === 1;
  const layer = tensorflowLayer(title, kind, found);
  return typeof layer !== 'string' && eachChannel ? { ...layer, kind: 'depthwise' } : layer;
}

function kindOfClass(className: string, variable: string): LayerKind | undefined {
  switch (className) {
    case 'Conv2D':
    case 'Convolution2D':
      return variable === 'kernel' ? 'conv' : undefined;
    case 'DepthwiseConv2D':
      return variable === 'depthwise_kernel' || variable === 'kernel' ? 'depthwise' : undefined;
    case 'SeparableConv2D':
    case 'SeparableConvolution2D':
      return variable === 'depthwise_kernel'
        ? 'depthwise'
        : variable === 'pointwise_kernel'
          ? 'conv'
          : undefined;
    case 'Conv2DTranspose':
    case 'Convolution2DTranspose':
    case 'Deconvolution2D':
      return variable === 'kernel' ? 'transposed' : undefined;
    default:
      return undefined;
  }
}

/** Without a topology names are all there is: the innermost part that says something decides. */
function kindOfName(parts: readonly string[]): LayerKind | undefined {
  for (const part of [...parts].reverse()) {
    if (/depthwise/i.test(part)) return 'depthwise';
    if (/pointwise/i.test(part)) return 'conv';
    if (/transpose|deconv/i.test(part)) return 'transposed';
    if (/conv/i.test(part)) return 'conv';
  }
  return /kernel|filter|weight/i.test(parts.at(-1)!) ? 'conv' : undefined;
}
