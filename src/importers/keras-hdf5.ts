// Keras HDF5 files: whole models (model_weights beside optimizer_weights), weight files of Keras 2 (layer_names,
// weight_names) and of Keras 3 (layers/<name>/vars/<n>). Keras stores kernels as [h, w, in, out].
import { halfToFloat } from '../formats/floats.js';
import { readAll } from '../formats/source.js';
import { type Hdf5Dataset, type Hdf5Tree, readHdf5 } from './hdf5.js';
import type { Importer } from './importer.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]; // \x89HDF\r\n\x1a\n

export const kerasHdf5: Importer = {
  format: 'keras-hdf5',
  extensions: ['.h5', '.hdf5'],
  recognises: (head, path) =>
    SIGNATURE.every((byte, i) => head[i] === byte) || /\.(h5|hdf5)$/.test(path.toLowerCase()),
  read: async (source) => readKeras(await readHdf5(readAll(source), source.path)),
};

/** A stored weight, the layer that owns it, and the name of the weight inside that layer. */
interface Weight {
  layer: string;
  weight: string;
  dataset: Hdf5Dataset;
}

/** Weights that a Keras convolution can have besides its bias. */
const KERNELS = /^(kernel|depthwise_kernel|pointwise_kernel)$/;

function readKeras(file: Hdf5Tree): ModelLayers {
  const base = file.attributes['/model_weights'] ? '/model_weights' : '/';
  const classes = layerClasses(file.attributes['/'].model_config?.[0]);
  const weights = namedWeights(file, base) ?? foundWeights(file, base);
  const result: ModelLayers = { layers: [], skipped: [] };
  for (const weight of weights) {
    const layer = toLayer(weight, classes);
    if (typeof layer === 'string') result.skipped.push({ layer: weight.layer, reason: layer });
    else if (layer) result.layers.push(layer);
  }
  const version = (file.attributes[base].keras_version ?? file.attributes['/'].keras_version)?.[0];
  if (version) result.producer = `keras ${version}`;
  return result;
}

/** Keras 2: the attributes say which datasets are weights, in the order of the layers. */
function namedWeights({ attributes, datasets }: Hdf5Tree, base: string): Weight[] | undefined {
  const layers = listAttribute(attributes[base], 'layer_names');
  if (!layers) return undefined;
  const byPath = new Map(datasets.map((dataset) => [dataset.path, dataset]));
  return layers.flatMap((layer) => {
    const group = join(base, layer);
    return (listAttribute(attributes[group], 'weight_names') ?? []).flatMap((name) => {
      const dataset = byPath.get(join(group, name));
      if (!dataset) return [];
      const parts = name.split('/');
      const weight = plain(parts.at(-1)!);
      // 'conv2d/kernel:0' in group conv2d is layer conv2d; a model inside the model keeps its own name in front
      const inner = parts.slice(0, -1).join('/');
      const nested = inner !== '' && inner !== layer && !inner.startsWith(`${layer}/`);
      return [{ layer: nested ? `${layer}/${inner}` : inner || layer, weight, dataset }];
    });
  });
}

const join = (...parts: string[]) =>
  `/${parts
    .flatMap((part) => part.split('/'))
    .filter(Boolean)
    .join('/')}`;

/** Keras 3, and any HDF5 file that is laid out like a tree of weights. */
function foundWeights({ datasets }: Hdf5Tree, base: string): Weight[] {
  return datasets
    .filter(({ path }) => path.startsWith(base) && !/^\/optimizer(_weights)?\//.test(path))
    .map((dataset) => {
      const parts = dataset.path.split('/').filter(Boolean);
      const variable = /^\d+$/.test(parts.at(-1)!) && parts.at(-2) === 'vars';
      const owner = parts.slice(0, variable ? -2 : -1).filter((part, i) => !(i === 0 && part === 'layers'));
      const layer = owner.join('/') || parts.at(-1)!;
      // Keras 3 numbers variables: the kernel comes first, in a separable layer the depthwise one
      const separable = /separable/i.test(layer);
      const numbered = ['0', separable ? 'pointwise_kernel' : '1'];
      numbered[0] = separable ? 'depthwise_kernel' : 'kernel';
      const weight = variable ? (numbered[Number(parts.at(-1))] ?? parts.at(-1)!) : plain(parts.at(-1)!);
      return { layer, weight, dataset };
    });
}

/** HDF5 limits an attribute to 64 KB, so Keras cuts long lists into name0, name1, … */
function listAttribute(attributes: Record<string, string[]> | undefined, name: string): string[] | undefined {
  if (!attributes) return undefined;
  if (attributes[name]) return attributes[name];
  const pieces: string[] = [];
  for (let i = 0; attributes[`${name}${i}`]; i++) pieces.push(...attributes[`${name}${i}`]);
  return pieces.length > 0 ? pieces : undefined;
}

const plain = (weight: string) => weight.replace(/:\d+$/, '');

/** Class of every layer by name, from the model's configuration; empty when the file has none. */
function layerClasses(config: string | undefined): Map<string, string> {
  const classes = new Map<string, string>();
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > 64) return;
    const { class_name: className, config: inner } = value as { class_name?: unknown; config?: unknown };
    const name = (inner as { name?: unknown } | null | undefined)?.name;
    if (typeof className === 'string' && typeof name === 'string') classes.set(name, className);
    for (const child of Object.values(value)) visit(child, depth + 1);
  };
  if (config !== undefined)
    try {
      visit(JSON.parse(config), 0);
    } catch {
      // no configuration to learn from: names have to do
    }
  return classes;
}

/** The layer, a reason why it is left out, or undefined for a weight that is no convolution's. */
function toLayer(
  { layer, weight, dataset }: Weight,
  classes: Map<string, string>,
): ConvLayer | string | undefined {
  const { shape, dtype, raw } = dataset;
  const className = classes.get(layer.split('/').at(-1)!);
  if (!KERNELS.test(weight))
    return shape.length === 4 ? `a 4-D weight "${weight}" that no known convolution has` : undefined;
  if (shape.length === 3 || shape.length === 5) {
    const conv = className ? /conv/i.test(className) : /conv/i.test(layer);
    return conv ? `a ${shape.length - 2}-D convolution` : undefined;
  }
  if (shape.length !== 4) return undefined;
  if (className && !/conv/i.test(className)) return `a layer of class ${className}`;
  if (!dtype) return 'its weights are not float';
  const [h, w, third, fourth] = shape;
  if (!raw) return `its weights [${shape}] are empty`;
  const kind = kindOf(layer, weight, className);
  const data = permuteAxes(toFloats(raw, dtype), shape, kind === 'conv' ? [3, 2, 0, 1] : [2, 3, 0, 1]);
  return {
    name: weight === 'kernel' ? layer : `${layer}/${weight}`,
    kind,
    // depthwise [h, w, channels, multiplier] → [channels · multiplier, 1, h, w]; transposed is [h, w, out, in]
    shape:
      kind === 'conv'
        ? [fourth, third, h, w]
        : kind === 'depthwise'
          ? [third * fourth, 1, h, w]
          : [third, fourth, h, w],
    dtype,
    read: () => data,
  };
}

function toFloats(raw: Uint8Array<ArrayBuffer>, dtype: string): Float32Array {
  if (dtype === 'float32') return new Float32Array(raw.buffer);
  return dtype === 'float64'
    ? Float32Array.from(new Float64Array(raw.buffer))
    : Float32Array.from(new Uint16Array(raw.buffer), halfToFloat);
}

function kindOf(layer: string, weight: string, className: string | undefined): LayerKind {
  if (weight === 'depthwise_kernel') return 'depthwise';
  if (weight === 'pointwise_kernel') return 'conv';
  const told = className ?? layer.split('/').at(-1)!;
  if (/transpose/i.test(told)) return 'transposed';
  return /depthwise/i.test(told) ? 'depthwise' : 'conv';
}
