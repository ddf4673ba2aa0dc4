// Keras HDF5 files: whole models (model_weights beside optimizer_weights), weight files of Keras 1 and 2 (layer_names,
// weight_names; param_0 in the oldest) and of Keras 3 (layers/<name>/vars/<n>).
import type { ByteSource } from '../formats/source.js';
import { type Hdf5Dataset, type Hdf5Tree, openHdf5 } from './hdf5.js';
import type { Importer, ReadOptions } from './importer.js';
import { type KerasNode, parseKerasConfig, pathToLayer, storedNames } from './keras-config.js';
import { foldKeras } from './keras-fold.js';
import { type KerasOrigin, type KerasOwner, kerasLayers } from './keras-layers.js';
import { plainName } from './keras-variables.js';
import type { ModelLayers } from './layers.js';

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]; // \x89HDF\r\n\x1a\n

export const kerasHdf5: Importer = {
  format: 'keras-hdf5',
  title: 'Keras (HDF5)',
  extensions: ['.h5', '.hdf5'],
  recognises: (head, path) =>
    SIGNATURE.every((byte, i) => head[i] === byte) || /\.(h5|hdf5)$/.test(path.toLowerCase()),
  read: (source, options) => readKerasHdf5(source, options),
};

/**
 * @param config the model's configuration as JSON, where it lies beside the weights
 * @throws DwpError INPUT when the file is damaged
 */
export async function readKerasHdf5(
  source: ByteSource,
  { foldBatchNorm = false }: ReadOptions = {},
  config?: string,
): Promise<ModelLayers> {
  const file = await openHdf5(source);
  const { attributes } = file;
  const base = attributes['/model_weights'] ? '/model_weights' : '/';
  const root = attributes['/'];
  const node = parseKerasConfig(config ?? root.model_config?.[0]);
  const version = (attributes[base].keras_version ?? root.keras_version)?.[0];
  const origin: KerasOrigin = { version, backend: (attributes[base].backend ?? root.backend)?.[0] };
  const names = listAttribute(attributes[base], 'layer_names');
  const owners = names ? namedOwners(file, base, node, names) : foundOwners(file, base, node);
  const read = (dataset: Hdf5Dataset) => file.read(dataset);
  const { model, found } = await kerasLayers(owners, origin, read);
  const result = foldBatchNorm ? foldKeras(model, { owners, found, config: node, names, read }) : model;
  return { ...result, ...(version ? { producer: `keras ${version}` } : {}), close: file.close };
}

/** Keras 1 and 2: attributes say which datasets are weights, in the order of the layers. */
function namedOwners(
  { attributes, datasets }: Hdf5Tree,
  base: string,
  model: KerasNode | undefined,
  layers: readonly string[],
): KerasOwner[] {
  const byPath = new Map(datasets.map((dataset) => [dataset.path, dataset]));
  const owners = new Map<string, KerasOwner>();
  for (const layer of layers) {
    const group = join(base, layer);
    const node = model?.layers.find(({ name }) => name === layer) ?? pathToLayer(model, layer)?.at(-1);
    for (const name of listAttribute(attributes[group], 'weight_names') ?? []) {
      const parts = name.split('/');
      const variable = parts.pop() ?? '';
      const inner = innerName(parts, layer, node);
      const path = pathToLayer(node, inner.at(-1) ?? layer);
      const owner = [layer, ...(path ? path.slice(1).map(({ name }) => name) : inner)].join('/');
      if (!owners.has(owner))
        owners.set(owner, {
          name: owner,
          ...wrapped(path?.at(-1)),
          hints: [...parts, owner],
          weights: new Map(),
        });
      addWeight(owners.get(owner), variable, layer, byPath.get(join(group, name)));
    }
  }
  return [...owners.values()];
}

/**
 * The layer inside a model that is a layer itself: of `outer/block/conv/kernel:0` in the group `block`, `conv`.
 * A layer that is no model has no inner ones, however its variables are called.
 */
function innerName(scope: readonly string[], layer: string, node: KerasNode | undefined): readonly string[] {
  if (node && node.layers.length === 0) return [];
  return scope.slice(scope.lastIndexOf(layer.split('/').at(-1) ?? '') + 1);
}

/** A wrapper stands for what it wraps. */
function wrapped(node: KerasNode | undefined): Pick<KerasOwner, 'node' | 'wrapper'> {
  if (!node?.inner || node.layers.length > 0) return { node };
  return { node: wrapped(node.inner).node, wrapper: true };
}

/** By its plain name, or by its own where two of a layer would have the same. */
function addWeight(
  owner: KerasOwner | undefined,
  variable: string,
  layer: string,
  dataset: Hdf5Dataset | undefined,
): void {
  const plain = plainName(variable, layer);
  owner?.weights.set(owner.weights.has(plain) ? variable.replace(/:\d+$/, '') : plain, dataset);
}

const join = (...parts: string[]) =>
  `/${parts
    .flatMap((part) => part.split('/'))
    .filter(Boolean)
    .join('/')}`;

/** Keras 3, and any HDF5 file that is laid out like a tree of weights. */
function foundOwners({ attributes, datasets }: Hdf5Tree, base: string, model?: KerasNode): KerasOwner[] {
  const owners = new Map<string, KerasOwner>();
  for (const dataset of datasets) {
    if (base !== '/' && !dataset.path.startsWith(`${base}/`)) continue;
    const parts = dataset.path.slice(base.length).split('/').filter(Boolean);
    if (/^(optimizer(_weights)?|metrics)$/.test(parts[0])) continue;
    const weight = parts.pop() ?? '';
    const numbered = /^\d+$/.test(weight) && parts.at(-1) === 'vars';
    if (numbered) parts.pop();
    const key = parts.join('/');
    if (!owners.has(key)) {
      const { name, node } = located(parts, attributes, base, model);
      const hints = [...parts.slice(-2), name];
      owners.set(key, { name: name || weight, ...wrapped(node), hints, weights: new Map() });
    }
    if (numbered) owners.get(key)?.weights.set(Number(weight), dataset);
    else addWeight(owners.get(key), weight, parts.at(-1) ?? '', dataset);
  }
  return [...owners.values()];
}

/** Names of containers in the files of Keras 3 and of late Keras 2, which no person gave. */
const CONTAINERS = /^_?(layers|layer_checkpoint_dependencies|functional_layers)$/;

/**
 * Goes down the path of a Keras 3 file and the configuration at once.
 *
 * @returns the path by the layers' own names, where the file or the configuration tell them
 */
function located(
  path: readonly string[],
  attributes: Hdf5Tree['attributes'],
  base: string,
  model: KerasNode | undefined,
): { name: string; node: KerasNode | undefined } {
  const names: string[] = [];
  let node = model;
  let contained = false;
  for (const [i, part] of path.entries()) {
    if (CONTAINERS.test(part)) {
      contained = true;
      continue;
    }
    const told = attributes[join(base, ...path.slice(0, i + 1), 'vars')]?.name?.[0];
    const byName = node?.layers.find(({ name }) => name !== '' && name === told);
    if (contained) node = byName ?? (node && storedNames(node.layers).get(part));
    else node = byName ?? (part === 'layer' ? node?.inner : undefined);
    names.push(told || node?.name || part);
    contained = false;
  }
  return { name: names.join('/'), node };
}

/** HDF5 limits an attribute to 64 KB, so Keras cuts long lists into name0, name1, … */
function listAttribute(attributes: Record<string, string[]> | undefined, name: string): string[] | undefined {
  if (!attributes) return undefined;
  if (attributes[name]) return attributes[name];
  const pieces: string[] = [];
  for (let i = 0; attributes[`${name}${i}`]; i++) pieces.push(...attributes[`${name}${i}`]);
  return pieces.length > 0 ? pieces : undefined;
}
