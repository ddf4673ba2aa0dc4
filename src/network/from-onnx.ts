// A classifier of an ONNX graph → the description of a network, and the graph's own weights by the names of its layers.
// Pure: constants have been read before.
import { type Arrays, f32, type NdArray } from '../engine/index.js';
import { usageError } from '../errors.js';
import type { OnnxAttribute, OnnxNode } from '../importers/onnx-file.js';
import type { Architecture, LayerDescription } from './architecture.js';
import { CLASSES, type DescribedNetwork } from './described.js';
import { IMAGES, type Layer } from './layer.js';

export interface ClassifierGraph {
  nodes: readonly OnnxNode[];
  /** Weights and whole numbers that are stored in the file. */
  constants: ReadonlyMap<string, NdArray>;
  outputs: readonly string[];
}

export interface OnnxNetwork {
  network: DescribedNetwork;
  /** Outputs of the graph's classifier. */
  classes: number;
  /** `layer.part`, as the graph has them: `weights` [out, in, h, w], of dense layers [out, in, 1, 1]; `bias`, `scale`, … */
  arrays: Arrays;
}

/** What a name of the graph stands for. */
interface Value {
  /** The layer that makes it. */
  layer: string;
  vector: boolean;
  /** A vector that was made of an image, in the order [c, h, w]. */
  flat?: boolean;
  /** HardSigmoid of the layer, which is only read as a factor of x · HardSigmoid(x). */
  gate?: boolean;
}

type Refuse = (why: string) => Error;

class Reader {
  readonly layers: (LayerDescription & { name: string; inputs: string[] })[] = [];
  readonly arrays: Record<string, NdArray> = {};
  private readonly values = new Map<string, Value>();
  /** Names that hold shapes, which the end of a network reshapes by. */
  private readonly shapes = new Set<string>();
  private images?: string;

  constructor(
    private readonly graph: ClassifierGraph,
    private readonly file: string,
  ) {}

  node(node: OnnxNode): void {
    const refused: Refuse = (why) =>
      usageError(
        `${this.file}: node ${node.name || node.outputs[0]} (${node.type}): ${why}`,
        `known operators: ${Object.keys(OPERATORS).join(', ')}`,
      );
    if (node.domain !== '' && node.domain !== 'ai.onnx') throw refused(`an operator of ${node.domain}`);
    if (
      node.type === 'Shape' ||
      node.inputs.some((name) => this.shapes.has(name) && node.type !== 'Reshape')
    ) {
      for (const name of node.outputs) this.shapes.add(name);
      return;
    }
    const read = Object.hasOwn(OPERATORS, node.type) ? OPERATORS[node.type] : undefined;
    if (!read) throw refused('this operator is not known');
    this.values.set(node.outputs[0], read(new Call(this, node, refused)));
  }

  constant = (name: string): NdArray | undefined => this.graph.constants.get(name);
  isShape = (name: string): boolean => this.shapes.has(name);

  value(name: string, refused: Refuse): Value {
    const known = this.values.get(name);
    if (known) return known;
    if (name === '' || this.constant(name)) throw refused('it reads a constant where images should be');
    this.images ??= name;
    if (name !== this.images) throw refused(`it reads a second input, ${name}`);
    return { layer: IMAGES, vector: false };
  }

  add(kind: string, inputs: readonly Value[], options: object, arrays: Arrays): string {
    const name = `${kind}${this.layers.filter((other) => other.kind === kind).length + 1}`;
    this.layers.push({ kind, name, inputs: inputs.map(({ layer }) => layer), ...options });
    for (const [part, array] of Object.entries(arrays)) this.arrays[`${name}.${part}`] = array;
    return name;
  }

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
    return { network: { name, file: this.file, layers }, classes, arrays: this.arrays };
  }
}

/** The layer whose outputs are the classes: behind it nothing mixes channels. */
function headOf(layers: readonly (LayerDescription & { inputs: readonly string[] })[], end: string) {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  for (let layer = byName.get(end); layer; layer = byName.get(layer.inputs[0])) {
    if (layer.kind === 'dense' || layer.kind === 'conv')
      return layer as { kind: string; [option: string]: unknown };
    if (layer.inputs.length > 1 || layer.kind === 'flatten') return undefined;
  }
  return undefined;
}

/** One node, as the table of operators reads it. */
class Call {
  constructor(
    private readonly reader: Reader,
    readonly node: OnnxNode,
    readonly refused: Refuse,
  ) {}

  attribute = (name: string): OnnxAttribute | undefined => this.node.attributes.get(name);
  input = (i = 0): Value => this.reader.value(this.node.inputs[i] ?? '', this.refused);
  isConstant = (i: number): boolean => this.reader.constant(this.node.inputs[i]) !== undefined;
  optional = (i: number): NdArray | undefined => this.reader.constant(this.node.inputs[i] ?? '');
  isShape = (i: number): boolean => this.reader.isShape(this.node.inputs[i]);
  get last() {
    return this.reader.layers.at(-1);
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
    const { vector, flat } = inputs[0];
    return { layer: this.reader.add(kind, inputs, options, arrays), vector, ...(flat && { flat }) };
  }

  setBias(layer: string, bias: NdArray): void {
    const { last } = this;
    this.require(
      last?.name === layer && last.kind === 'dense' && last.bias === false,
      'it adds a constant to what is no MatMul',
    );
    Object.assign(last!, { bias: true });
    this.reader.arrays[`${layer}.bias`] = bias;
  }

  makers = (value: Value) => this.reader.layers.find(({ name }) => name === value.layer);
}

const simple = (kind: string) => (call: Call) => call.layer(kind, [call.input()]);
const same = (call: Call) => call.input();

const pads = (call: Call, size: readonly number[]): Record<string, unknown> => {
  const auto = call.attribute('auto_pad')?.text || 'NOTSET';
  call.require(['NOTSET', 'VALID', 'SAME_UPPER'].includes(auto), `auto_pad ${auto} is not known`);
  call.require(size.length === 2, `windows of ${size.length} axes: only images are read`);
  const ints = (name: string, otherwise: number[]) => {
    const given = call.attribute(name)?.ints ?? [];
    return given.length > 0 ? [...given] : otherwise;
  };
  const sides = ints('pads', [0, 0, 0, 0]);
  const padding = auto === 'SAME_UPPER' ? 'same' : sides.every((n) => n === 0) ? 'valid' : sides;
  return { stride: ints('strides', [1, 1]), padding };
};

function conv(call: Call): Value {
  const weights = call.constant(1);
  const bias = call.optional(2);
  const [out, inputs, ...kernel] = weights.shape;
  const groups = call.attribute('group')?.int ?? 1;
  const dilation = [...(call.attribute('dilations')?.ints ?? [])];
  const common = {
    kernel,
    ...pads(call, kernel),
    ...(dilation.some((n) => n !== 1) && { dilation }),
    bias: bias !== undefined,
  };
  const arrays = { weights, ...(bias && { bias }) };
  return groups > 1 && inputs === 1
    ? call.layer('depthwise-conv', [call.input()], { multiplier: out / groups, ...common }, arrays)
    : call.layer('conv', [call.input()], { channels: out, ...common, ...(groups > 1 && { groups }) }, arrays);
}

const pool = (kind: string) => (call: Call) => {
  const size = [...(call.attribute('kernel_shape')?.ints ?? [])];
  const window = pads(call, size);
  call.require(!call.attribute('ceil_mode')?.int, 'ceil_mode 1 is not known');
  call.require(!call.attribute('dilations')?.ints.some((n) => n !== 1), 'dilations are not known');
  const padded = window.padding !== 'valid';
  call.require(
    !(padded && call.attribute('count_include_pad')?.int),
    'a mean that counts padding is not known',
  );
  return call.layer(kind, [call.input()], { size, ...window });
};

function dense(call: Call, matrix: NdArray, transposed: boolean, bias?: NdArray): Value {
  call.require(matrix.shape.length === 2, `its weights have ${matrix.shape.length} axes, not 2`);
  const [a, b] = matrix.shape;
  const [units, inputs] = transposed ? [a, b] : [b, a];
  const data = transposed
    ? Float32Array.from(matrix.data)
    : Float32Array.from(matrix.data, (_, i) => matrix.data[(i % inputs) * units + Math.floor(i / inputs)]);
  const arrays = {
    weights: f32([units, inputs, 1, 1], data),
    ...(bias && { bias: f32([units], spread(bias, units)) }),
  };
  const made = call.layer('dense', [call.input()], { units, bias: bias !== undefined }, arrays);
  return { layer: made.layer, vector: true };
}

const spread = ({ data }: NdArray, count: number) =>
  Float32Array.from({ length: count }, (_, i) => data[i % data.length]);

function flatten(call: Call): Value {
  const input = call.input();
  if (input.vector) return input;
  return { ...call.layer('flatten', [input]), vector: true, flat: true };
}

function reshape(call: Call): Value {
  const to = call.optional(1);
  const two = call.isShape(1) || (to ? to.data.length === 2 : call.attribute('shape')?.ints.length === 2);
  call.require(two, 'only [n, features] is a shape that is known');
  return flatten(call);
}

function clip(call: Call): Value {
  const bound = (name: string, i: number) => call.attribute(name)?.float ?? call.optional(i)?.data[0];
  const [low, high = Number.POSITIVE_INFINITY] = [bound('min', 1), bound('max', 2)];
  call.require(
    low === 0 && (high === 6 || high > 1e30),
    `between ${low} and ${high}; known: 0 to 6, and 0 and more`,
  );
  return call.layer(high === 6 ? 'relu6' : 'relu', [call.input()]);
}

function hardSigmoid(call: Call): Value {
  const [alpha, beta] = [call.attribute('alpha')?.float ?? 0.2, call.attribute('beta')?.float ?? 0.5];
  call.require(
    Math.abs(alpha - 1 / 6) < 1e-6 && beta === 0.5,
    'only x · HardSigmoid(x) with α = 1/6 is known',
  );
  return { ...call.input(), gate: true };
}

/** x · Sigmoid(x) and x · HardSigmoid(x). */
function multiply(call: Call): Value {
  call.require(!call.isConstant(0) && !call.isConstant(1), 'a factor that is a constant is not known');
  const pair = [call.input(0), call.input(1)];
  for (const [x, gate] of [pair, [...pair].reverse()]) {
    if (gate.gate && !x.gate && gate.layer === x.layer) return call.layer('hard-swish', [x]);
    const maker = call.makers(gate);
    if (maker?.kind === 'sigmoid' && maker.inputs[0] === x.layer) return call.layer('silu', [x]);
  }
  throw call.refused('only x · Sigmoid(x) and x · HardSigmoid(x) are known');
}

function sum(call: Call): Value {
  const constants = call.node.inputs.map((_, i) => call.isConstant(i));
  if (!constants.includes(true))
    return call.layer(
      'add',
      call.node.inputs.map((_, i) => call.input(i)),
    );
  const at = constants.indexOf(false);
  const value = call.input(at);
  const units = call.makers(value)?.units;
  const bias = call.constant(1 - at);
  call.require(
    typeof units === 'number' && [1, units].includes(bias.data.length),
    'it adds a constant to what is no MatMul',
  );
  call.setBias(value.layer, f32([units as number], spread(bias, units as number)));
  return value;
}

function concat(call: Call): Value {
  const inputs = call.node.inputs.map((_, i) => call.input(i));
  const axis = call.attribute('axis')?.int ?? 1;
  const [{ vector }] = inputs;
  call.require(axis === 1 || (vector ? axis === -1 : axis === -3), `along axis ${axis}; known: channels`);
  call.require(!inputs.some(({ flat }) => flat), 'of images that were flattened before');
  return inputs.length === 1 ? inputs[0] : call.layer('concat', inputs);
}

function batchNorm(call: Call): Value {
  const [scale, offset, mean, variance] = [1, 2, 3, 4].map(call.constant.bind(call));
  const options = {
    epsilon: call.attribute('epsilon')?.float ?? 1e-5,
    momentum: call.attribute('momentum')?.float ?? 0.9,
  };
  return call.layer('batch-norm', [call.input()], options, { scale, offset, mean, variance });
}

function gemm(call: Call): Value {
  const one = (name: string) => (call.attribute(name)?.float ?? 1) === 1;
  call.require(
    one('alpha') && one('beta') && !call.attribute('transA')?.int,
    'alpha, beta or transA are not known',
  );
  return dense(call, call.constant(1), call.attribute('transB')?.int === 1, call.optional(2));
}

function reduceMean(call: Call): Value {
  const axes = call.attribute('axes')?.ints ?? [...(call.optional(1)?.data ?? [])];
  const places = axes.map((axis) => (axis < 0 ? axis + 4 : axis)).sort();
  call.require(`${places}` === '2,3', `over axes ${axes}; known: height and width`);
  return { ...call.layer('global-average-pool', [call.input()]), vector: true };
}

function squeeze(call: Call): Value {
  call.require(call.input().vector, 'only height and width of 1, behind a mean over positions, are known');
  return call.input();
}

/** The probabilities of the last layer: what we train are its logits. */
function softmax(call: Call): Value {
  return call.input();
}

const OPERATORS: Readonly<Record<string, (call: Call) => Value>> = {
  Add: sum,
  AveragePool: pool('average-pool'),
  BatchNormalization: batchNorm,
  Clip: clip,
  Concat: concat,
  Conv: conv,
  Dropout: same,
  Elu: (call) => {
    call.require((call.attribute('alpha')?.float ?? 1) === 1, 'alpha other than 1 is not known');
    return call.layer('elu', [call.input()]);
  },
  Flatten: (call) => {
    call.require((call.attribute('axis')?.int ?? 1) === 1, 'axis other than 1 is not known');
    return flatten(call);
  },
  Gelu: (call) => {
    call.require(
      (call.attribute('approximate')?.text || 'none') === 'none',
      'the approximate form is not known',
    );
    return call.layer('gelu', [call.input()]);
  },
  Gemm: gemm,
  GlobalAveragePool: (call) => ({ ...call.layer('global-average-pool', [call.input()]), vector: true }),
  GlobalMaxPool: (call) => ({ ...call.layer('global-max-pool', [call.input()]), vector: true }),
  HardSigmoid: hardSigmoid,
  HardSwish: simple('hard-swish'),
  Identity: same,
  LeakyRelu: (call) =>
    call.layer('leaky-relu', [call.input()], { slope: call.attribute('alpha')?.float ?? 0.01 }),
  LogSoftmax: softmax,
  MatMul: (call) => dense(call, call.constant(1), false),
  MaxPool: pool('max-pool'),
  Mul: multiply,
  ReduceMean: reduceMean,
  Relu: simple('relu'),
  Reshape: reshape,
  Selu: simple('selu'),
  Sigmoid: simple('sigmoid'),
  Softmax: softmax,
  Softplus: simple('softplus'),
  Squeeze: squeeze,
  Sum: sum,
  Tanh: simple('tanh'),
};

/**
 * @param file its name, for messages
 * @throws DwpError USAGE for an operator that is not known, with its node, and for what is no classifier
 */
export function networkFromOnnx(graph: ClassifierGraph, file: string): OnnxNetwork {
  const reader = new Reader(graph, file);
  const last = graph.nodes.at(-1);
  for (const node of graph.nodes) {
    if (/Softmax$/.test(node.type) && !(node === last || graph.outputs.includes(node.outputs[0])))
      throw usageError(
        `${file}: node ${node.name} (${node.type}): it is not the end of the network`,
        'give a classifier',
      );
    reader.node(node);
  }
  return reader.result();
}

/**
 * The graph's own arrays for a network made of it, where they fit: features of flattened images are [c, h, w] in the graph
 * and [h, w, c] here.
 * @returns `layer.part`; layers of other shapes, such as a new classifier, are left out
 */
export function graphArrays(architecture: Architecture, arrays: Arrays): Arrays {
  const result: Record<string, NdArray> = {};
  for (const layer of architecture.layers)
    for (const [name, array] of Object.entries(arrays).filter(([name]) => name.startsWith(`${layer.name}.`)))
      result[name] = orderedFeatures(architecture, layer, array);
  return result;
}

function orderedFeatures(architecture: Architecture, layer: Layer, array: NdArray): NdArray {
  const image = flattened(architecture, layer);
  const axis = layer.kind === 'dense' ? 1 : 0;
  if (!image || (layer.kind === 'dense' && array.shape.length < 2)) return array;
  const [h, w, c] = image;
  const features = h * w * c;
  if (array.shape[axis] !== features) return array;
  const data = Float32Array.from(array.data, (_, i) => {
    const feature = i % features; // (row · w + column) · c + channel
    const channel = feature % c;
    return array.data[i - feature + channel * h * w + (feature - channel) / c];
  });
  return f32(array.shape, data);
}

/** The image that a layer's input is a vector of. */
function flattened({ layers }: Architecture, layer: Layer): readonly number[] | undefined {
  const byName = new Map(layers.map((each) => [each.name, each]));
  for (let at = byName.get(layer.inputs[0]); at; at = byName.get(at.inputs[0])) {
    if (at.kind === 'flatten') return at.inputShapes[0].length === 3 ? at.inputShapes[0] : undefined;
    if (at.inputShapes[0].length !== 1 || at.kind === 'dense' || at.kind === 'concat') return undefined;
  }
  return undefined;
}
