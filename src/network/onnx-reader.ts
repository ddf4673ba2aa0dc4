// Nodes of an ONNX graph one after the other → layers of a network and their arrays. What a node becomes stands in
// onnx-operators.ts.
import { type Arrays, f32, type NdArray } from '../engine/index.js';
import { usageError } from '../errors.js';
import type { OnnxAttribute, OnnxNode } from '../importers/onnx-file.js';
import type { LayerDescription } from './architecture.js';
import { CLASSES, type DescribedNetwork } from './described.js';
import { IMAGES } from './layer.js';

export interface ClassifierGraph {
  nodes: readonly OnnxNode[];
  /** Weights and whole numbers that are stored in the file. */
  constants: ReadonlyMap<string, NdArray>;
  outputs: readonly string[];
}

export interface OnnxNetwork {
  network: DescribedNetwork;
  /** `layer.part`, as the graph has them: `weights` [out, in, h, w], of dense layers [out, in, 1, 1]; `bias`, `scale`, … */
  arrays: Arrays;
  /** Layers that flatten images [c, h, w]; all others flatten [h, w, c]. */
  channelsFirst: ReadonlySet<string>;
}

/** What a name of the graph stands for. */
export interface Value {
  /** The layer that makes it. */
  layer: string;
  /** One number per feature: [n, c], or [n, c, 1, 1] behind a mean over positions. */
  vector: boolean;
  /** A vector that was made of an image by flattening. */
  flat?: boolean;
  /** Images are [n, h, w, c] here. */
  channelsLast?: boolean;
  /** The value is this many times what the layer makes. */
  factor?: number;
}

export type Refuse = (why: string) => Error;
export type Operator = (call: Call) => Value;

type Draft = LayerDescription & { name: string; inputs: string[] };

export class Reader {
  readonly layers: Draft[] = [];
  readonly arrays: Record<string, NdArray> = {};
  /** Names of flatten layers whose features are in the order [c, h, w] in the graph. */
  readonly channelsFirst = new Set<string>();
  private readonly values = new Map<string, Value>();
  /** Names that hold shapes, which the end of a network reshapes by. */
  private readonly shapes = new Set<string>();
  /** How often a name is read. */
  private readonly uses = new Map<string, number>();
  private images?: string;

  constructor(
    private readonly graph: ClassifierGraph,
    private readonly file: string,
    private readonly operators: Readonly<Record<string, Operator>>,
  ) {
    const read = [...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs];
    for (const name of read) this.uses.set(name, (this.uses.get(name) ?? 0) + 1);
  }

  node(node: OnnxNode): void {
    const refused: Refuse = (why) =>
      usageError(
        `${this.file}: node ${node.name || node.outputs[0]} (${node.type}): ${why}`,
        `known operators: ${Object.keys(this.operators).join(', ')}`,
      );
    if (node.domain !== '' && node.domain !== 'ai.onnx') throw refused(`an operator of ${node.domain}`);
    if (
      node.type === 'Shape' ||
      node.inputs.some((name) => this.shapes.has(name) && node.type !== 'Reshape')
    ) {
      for (const name of node.outputs) this.shapes.add(name);
      return;
    }
    const read = Object.hasOwn(this.operators, node.type) ? this.operators[node.type] : undefined;
    if (!read) throw refused('this operator is not known');
    this.values.set(node.outputs[0], read(new Call(this, node, refused)));
  }

  constant = (name: string): NdArray | undefined => this.graph.constants.get(name);
  isShape = (name: string): boolean => this.shapes.has(name);
  isReadOnce = (name: string): boolean => this.uses.get(name) === 1;

  value(name: string, refused: Refuse): Value {
    const known = this.values.get(name);
    if (known) return known;
    if (name === '' || this.constant(name)) throw refused('it reads a constant where images should be');
    this.images ??= name;
    if (name !== this.images) throw refused(`it reads a second input, ${name}`);
    return { layer: IMAGES, vector: false, ...(this.imagesHaveChannelsLast() && { channelsLast: true }) };
  }

  /** A graph whose images are [n, h, w, c] moves their channels before anything looks at neighbours. */
  private imagesHaveChannelsLast(): boolean {
    const first = this.graph.nodes.find(({ type }) => type === 'Conv' || type === 'Transpose');
    return first?.type === 'Transpose' && `${first.attributes.get('perm')?.ints}` === '0,3,1,2';
  }

  add(kind: string, inputs: readonly Value[], options: object, arrays: Arrays): string {
    const name = `${kind}${this.layers.filter((other) => other.kind === kind).length + 1}`;
    this.layers.push({ kind, name, inputs: inputs.map(({ layer }) => layer), ...options });
    for (const [part, array] of Object.entries(arrays)) this.arrays[`${name}.${part}`] = array;
    return name;
  }

  maker = (layer: string): Draft | undefined => this.layers.find(({ name }) => name === layer);

  result(): OnnxNetwork {
    const refused: Refuse = (why) => usageError(`${this.file}: ${why}`, 'give a classifier with one output');
    if (this.graph.outputs.length !== 1) throw refused(`the graph has ${this.graph.outputs.length} outputs`);
    const { layer: end } = this.value(this.graph.outputs[0], refused);
    const needed = new Set([end]);
    for (const { name, inputs } of [...this.layers].reverse())
      if (needed.has(name)) for (const input of inputs) needed.add(input);
    const layers = this.layers.filter(({ name }) => needed.has(name));
    const head = headOf(layers, end);
    if (!head)
      throw refused(
        'it does not end in a classifier: a Gemm, a MatMul or a Conv whose outputs are the classes',
      );
    const option = head.kind === 'dense' ? 'units' : 'channels';
    const classes = head[option] as number;
    head[option as 'kind'] = CLASSES;
    const name = this.file.replace(/^.*[\\/]/, '').replace(/\.onnx$/i, '');
    const { arrays, channelsFirst } = this;
    return { network: { name, file: this.file, classes, layers }, arrays, channelsFirst };
  }
}

/** The layer whose outputs are the classes: behind it nothing mixes channels. */
function headOf(layers: readonly Draft[], end: string) {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  for (let layer = byName.get(end); layer; layer = byName.get(layer.inputs[0])) {
    if (layer.kind === 'dense' || layer.kind === 'conv')
      return layer as { kind: string; [option: string]: unknown };
    if (layer.inputs.length > 1 || layer.kind === 'flatten') return undefined;
  }
  return undefined;
}

/** One node, as the table of operators reads it. */
export class Call {
  constructor(
    private readonly reader: Reader,
    readonly node: OnnxNode,
    readonly refused: Refuse,
  ) {}

  attribute = (name: string): OnnxAttribute | undefined => this.node.attributes.get(name);
  isConstant = (i: number): boolean => this.reader.constant(this.node.inputs[i]) !== undefined;
  optional = (i: number): NdArray | undefined => this.reader.constant(this.node.inputs[i] ?? '');
  isShape = (i: number): boolean => this.reader.isShape(this.node.inputs[i]);

  /** What the node reads, wherever its channels are and whatever it is multiplied by. */
  anyInput = (i = 0): Value => this.reader.value(this.node.inputs[i] ?? '', this.refused);

  /** Images whose channels may be at the end, as operators of single elements take them. */
  elements(i = 0): Value {
    const value = this.anyInput(i);
    this.require(value.factor === undefined, `it reads ${value.factor} times a HardSwish`);
    return value;
  }

  input(i = 0): Value {
    const value = this.elements(i);
    this.require(!value.channelsLast, 'it reads images [n, h, w, c], whose channels are not moved before');
    return value;
  }

  constant(i: number): NdArray {
    const found = this.optional(i);
    if (!found) throw this.refused(`its input ${this.node.inputs[i] ?? i} is not stored in the file`);
    return found;
  }

  require(holds: boolean, why: string): void {
    if (!holds) throw this.refused(why);
  }

  layer(kind: string, inputs: readonly Value[], options: object = {}, arrays: Arrays = {}): Value {
    const { layer: _, factor: __, ...like } = inputs[0];
    return { ...like, layer: this.reader.add(kind, inputs, options, arrays) };
  }

  /** A vector of an image's elements, in the order that they have. */
  flatten(value: Value): Value {
    const made = this.layer('flatten', [value]);
    if (!value.channelsLast) this.reader.channelsFirst.add(made.layer);
    return { layer: made.layer, vector: true, flat: true };
  }

  /** The layer that makes a value, if it is one. */
  maker = ({ layer }: Value) => this.reader.maker(layer);

  /** Array of the layer that makes a value. */
  partOf = ({ layer }: Value, part: string): NdArray | undefined => this.reader.arrays[`${layer}.${part}`];

  /** The layer that makes input i, where nothing else reads it: it can be changed. */
  open(i: number) {
    const value = this.anyInput(i);
    const maker = this.maker(value);
    return maker && this.reader.layers.at(-1) === maker && this.reader.isReadOnce(this.node.inputs[i])
      ? maker
      : undefined;
  }

  /** @param data one number per channel, or one for all */
  setPart(layer: { name: string }, part: string, data: ArrayLike<number>): void {
    this.reader.arrays[`${layer.name}.${part}`] = f32([data.length], Float32Array.from(data));
  }
}
