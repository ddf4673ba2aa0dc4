// A Keras model's configuration (config.json, or the attribute model_config of HDF5) as a tree of layers.
import { fieldsOf, listOf, textOf } from '../formats/untyped.js';

export interface KerasNode {
  className: string;
  name: string;
  /** Keras 1 only. */
  ordering?: 'th' | 'tf';
  /** Of a model. */
  layers: KerasNode[];
  /** Of a wrapper such as TimeDistributed. */
  inner?: KerasNode;
  /** As it stands in the file. */
  config: Readonly<Record<string, unknown>>;
  /** Of a layer of a functional model: the layers that it reads, a list for each time that it is called. */
  inbound?: string[][];
}

const DEEPEST = 32;

/** @returns undefined when the text is absent or no configuration: names have to do then */
export function parseKerasConfig(text: string | undefined): KerasNode | undefined {
  if (text === undefined) return undefined;
  try {
    return toNode(JSON.parse(text), 0);
  } catch {
    return undefined;
  }
}

/** @param value the parsed JSON: `{ class_name, config }` */
export function toNode(value: unknown, depth = 0): KerasNode | undefined {
  const entry = fieldsOf(value);
  const className = textOf(entry.class_name);
  if (className === undefined || depth > DEEPEST) return undefined;
  const config = fieldsOf(entry.config);
  // a Sequential of Keras 1 and early Keras 2 is the list itself
  const layers = Array.isArray(entry.config) ? entry.config : listOf(config.layers);
  const ordering = config.dim_ordering;
  return {
    className,
    name: textOf(config.name) ?? textOf(entry.name) ?? '',
    ...(ordering === 'th' || ordering === 'tf' ? { ordering } : {}),
    layers: layers.flatMap((layer) => toNode(layer, depth + 1) ?? []),
    inner: toNode(config.layer, depth + 1),
    config,
    ...(Array.isArray(entry.inbound_nodes) && {
      inbound: entry.inbound_nodes.map((call) => readBy(call, 0)),
    }),
  };
}

/**
 * Names of the layers in a call: `["conv", 0, 0, {}]` in lists of Keras 2, `keras_history: ["conv", 0, 0]` anywhere
 * in those of Keras 3.
 */
function readBy(value: unknown, depth: number): string[] {
  if (typeof value !== 'object' || value === null || depth > DEEPEST) return [];
  if (Array.isArray(value)) {
    const [name, node, tensor] = value;
    if (typeof name === 'string' && typeof node === 'number' && typeof tensor === 'number') return [name];
  }
  return Object.values(value).flatMap((child) => readBy(child, depth + 1));
}

/** The way to the layer of that name, in this model or the models inside it: from the outermost to the layer. */
export function pathToLayer(node: KerasNode | undefined, name: string): KerasNode[] | undefined {
  if (!node) return undefined;
  if (node.name === name) return [node];
  for (const child of [...node.layers, ...(node.inner ? [node.inner] : [])]) {
    const path = pathToLayer(child, name);
    if (path) return [node, ...path];
  }
  return undefined;
}

/**
 * What the groups of a Keras 3 weight file are called: the layers of a model by their class in snake case, numbered
 * from the second of a class on.
 */
export function storedNames(layers: readonly KerasNode[]): Map<string, KerasNode> {
  const counts = new Map<string, number>();
  const names = new Map<string, KerasNode>();
  for (const layer of layers) {
    const base = snakeCase(layer.className);
    const count = counts.get(base) ?? 0;
    counts.set(base, count + 1);
    names.set(count === 0 ? base : `${base}_${count}`, layer);
  }
  return names;
}

/** `SeparableConv2D` → `separable_conv2d`: a word begins at a capital before or after small letters. */
const snakeCase = (className: string): string =>
  className
    .replace(/\W+/g, '')
    .replace(/(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])/g, '_')
    .toLowerCase();
