// Keras HDF5 files: whole models (model_weights beside optimizer_weights), weight files of Keras 2 (layer_names,
// weight_names) and of Keras 3 (layers/<name>/vars/<n>). Keras stores kernels as [h, w, in, out].
import { type Hdf5, type Hdf5Dataset, withHdf5 } from './hdf5.js';
import type { Importer } from './importer.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]; // \x89HDF\r\n\x1a\n

export const kerasHdf5: Importer = {
  format: 'keras-hdf5',
  extensions: ['.h5', '.hdf5'],
  recognises: (head, path) =>
    SIGNATURE.every((byte, i) => head[i] === byte) || /\.(h5|hdf5)$/.test(path.toLowerCase()),
  read: (bytes, path) => withHdf5(bytes, path, readKeras),
};

/** A stored weight, the layer that owns it, and the name of the weight inside that layer. */
interface Weight {
  layer: string;
  weight: string;
  dataset: Hdf5Dataset;
}

/** Weights that a Keras convolution can have besides its bias. */
const KERNELS = /^(kernel|depthwise_kernel|pointwise_kernel)$/;

function readKeras(file: Hdf5): ModelLayers {
  const base = file.has('model_weights') ? '/model_weights' : '/';
  const classes = layerClasses(file.strings('/', 'model_config')?.[0]);
  const weights = namedWeights(file, base) ?? foundWeights(file, base);
  const result: ModelLayers = { layers: [], skipped: [] };
  for (const weight of weights) {
    const layer = toLayer(weight, classes);
    if (typeof layer === 'string') result.skipped.push({ layer: weight.layer, reason: layer });
    else if (layer) result.layers.push(layer);
  }
  const version = file.strings(base, 'keras_version')?.[0] ?? file.strings('/', 'keras_version')?.[0];
  if (version) result.producer = `keras ${version}`;
  return result;
}

/** Keras 2: the attributes say which datasets are weights, in the order of the layers. */
function namedWeights(file: Hdf5, base: string): Weight[] | undefined {
  const layers = listAttribute(file, base, 'layer_names');
  if (!layers) return undefined;
  return layers.flatMap((layer) =>
    (listAttribute(file, `${base}/${layer}`, 'weight_names') ?? []).flatMap((name) => {
      const dataset = file.dataset(`${base}/${layer}/${name}`);
      if (!dataset) return [];
      const parts = name.split('/');
      const weight = plain(parts.at(-1)!);
      // 'conv2d/kernel:0' in group conv2d is layer conv2d; a model inside the model keeps its own name in front
      const inner = parts.slice(0, -1).join('/');
      const nested = inner !== '' && inner !== layer && !inner.startsWith(`${layer}/`);
      return [{ layer: nested ? `${layer}/${inner}` : inner || layer, weight, dataset }];
    }),
  );
}

/** Keras 3, and any HDF5 file that is laid out like a tree of weights. */
function foundWeights(file: Hdf5, base: string): Weight[] {
  return file
    .children(base)
    .filter((child) => !/^optimizer(_weights)?$/.test(child))
    .flatMap((child) => {
      const at = base === '/' ? `/${child}` : `${base}/${child}`;
      const single = file.dataset(at);
      return single ? [single] : file.datasets(at);
    })
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
function listAttribute(file: Hdf5, path: string, name: string): string[] | undefined {
  const whole = file.strings(path, name);
  if (whole) return whole;
  const pieces: string[] = [];
  for (let i = 0; ; i++) {
    const piece = file.strings(path, `${name}${i}`);
    if (!piece) return i === 0 ? undefined : pieces;
    pieces.push(...piece);
  }
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
  const { shape, dtype } = dataset;
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
  if (h * w * third * fourth === 0) return `its weights [${shape}] are empty`;
  const kind = kindOf(layer, weight, className);
  const data = permuteAxes(dataset.read(), shape, kind === 'conv' ? [3, 2, 0, 1] : [2, 3, 0, 1]);
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
    data,
    dtype,
  };
}

function kindOf(layer: string, weight: string, className: string | undefined): LayerKind {
  if (weight === 'depthwise_kernel') return 'depthwise';
  if (weight === 'pointwise_kernel') return 'conv';
  const told = className ?? layer.split('/').at(-1)!;
  if (/transpose/i.test(told)) return 'transposed';
  return /depthwise/i.test(told) ? 'depthwise' : 'conv';
}
