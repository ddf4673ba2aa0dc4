// The convolutions of an ONNX model, graph by graph: which input holds the weights, how they are laid out and scaled.
import { inputError } from '../errors.js';
import { type ByteSource, shown } from '../formats/source.js';
import { type ConvLayer, type ModelLayers, permuteAxes } from './layers.js';
import type { OnnxFunction, OnnxGraph, OnnxNode } from './onnx-file.js';
import { attributeOf, callScope, graphScope, placeOf, type Scope } from './onnx-scope.js';
import type { StoredTensor } from './onnx-tensor.js';
import { WeightResolver } from './onnx-weights.js';

/** Kinds of convolution: where their weights are, and of the quantised ones the scale and the zero point. */
const CONVOLUTIONS: Readonly<Record<string, { weights: number; scale?: number; zero?: number }>> = {
  Conv: { weights: 1 },
  ConvTranspose: { weights: 1 },
  DeformConv: { weights: 1 },
  FusedConv: { weights: 1 },
  QLinearConv: { weights: 3, scale: 4, zero: 5 },
  ConvInteger: { weights: 1, zero: 3 },
};

/** What stands between a ConvInteger and the multiplication by its scale: an Add of a quantised bias, too. */
const PASSED = new Set(['Cast', 'Add']);

interface Reader {
  node: OnnxNode;
  input: number;
  scope: Scope;
}

/** Graphs inside graphs, and functions that call functions. */
const DEEPEST = 16;
/** Nodes looked at: functions may call functions many times over. */
const MOST_NODES = 400_000;
/** Readers of a value that are looked at. */
const MOST_READERS = 16;

export class LayerFinder implements Pick<ModelLayers, 'layers' | 'skipped'> {
  readonly layers: ConvLayer[] = [];
  readonly skipped: ModelLayers['skipped'] = [];
  private readonly weights: WeightResolver;
  /** Constants that some convolution has used already: shared weights count once. */
  private readonly seen = new Set<object | string>();
  private nodes = 0;

  constructor(
    private readonly source: ByteSource,
    functions: readonly OnnxFunction[],
    private readonly foldBatchNorm: boolean,
  ) {
    this.weights = new WeightResolver(source, functions);
  }

  graph(graph: OnnxGraph, outer?: Scope, depth = 0): void {
    this.body(graph.nodes, graphScope(graph, outer), graph.name, depth);
  }

  private body(nodes: readonly OnnxNode[], scope: Scope, place: string, depth: number): void {
    const tooDeep = (what: string) =>
      inputError(`${this.source.path}: ${what} are nested deeper than ${DEEPEST}`, 'export the model again');
    this.count();
    nodes.forEach((node, i) => {
      this.count();
      for (const { graphs } of node.attributes.values())
        for (const inner of graphs) {
          if (depth >= DEEPEST) throw tooDeep('graphs');
          this.graph(inner, scope, depth + 1);
        }
      const called = this.weights.functionOf(node);
      if (called) {
        if (depth >= DEEPEST) throw tooDeep('functions');
        this.body(called.nodes, callScope(called, node, scope), called.name, depth + 1);
      } else if (Object.hasOwn(CONVOLUTIONS, node.type))
        this.convolution(node, scope, nameOf(node, place, i));
      else if (/conv/i.test(node.type))
        this.skipped.push({
          layer: nameOf(node, place, i),
          reason: `${shown(node.type)}, a kind of convolution that is not read`,
        });
    });
  }

  private count(): void {
    if (++this.nodes > MOST_NODES)
      throw inputError(`${this.source.path}: more than ${MOST_NODES} nodes`, 'export the model again');
  }

  private convolution(node: OnnxNode, scope: Scope, name: string): void {
    const skip = (reason: string) => this.skipped.push({ layer: name, reason });
    if (/nchwc$/.test(node.domain)) return void skip('its weights are laid out in blocks for one processor');
    const { weights: input, scale, zero } = CONVOLUTIONS[node.type];
    const stored = this.weights.resolve(node.inputs[input] ?? '', scope);
    if (typeof stored === 'string') return void skip(stored);
    if (this.seen.has(stored.origin)) return;
    let weights: StoredTensor | string = stored;
    if (node.type === 'QLinearConv')
      weights = this.weights.dequantised(
        stored,
        node.inputs[scale!] ?? '',
        node.inputs[zero!] ?? '',
        scope,
        0,
      );
    else if (node.type === 'ConvInteger') {
      const factor = this.scaleAfter(node, scope);
      weights = factor
        ? this.weights.dequantised(stored, factor, node.inputs[zero!] ?? '', scope, 0)
        : 'its weights are quantised, and their scale is not found behind it';
    } else if (!stored.isFloat) weights = `its weights are ${stored.dtype}, not float`;
    if (typeof weights === 'string') return void skip(weights);
    const layer = toLayer(name, node.type === 'ConvTranspose', this.groupsOf(node, scope), weights);
    if (typeof layer === 'string') return void skip(layer);
    const folded = this.foldBatchNorm ? this.folded(layer, node, scope) : layer;
    if (typeof folded === 'string') return void skip(folded);
    this.seen.add(stored.origin);
    this.layers.push(folded);
  }

  private readonly groupsOf = (node: OnnxNode, scope: Scope): number =>
    attributeOf(node, 'group', scope)?.int || 1;

  /**
   * ConvInteger has no scale of its own: its result is cast to float and multiplied by that of the input times that
   * of the weights, in this order.
   *
   * @returns the name of the weights' scale
   */
  private scaleAfter(node: OnnxNode, scope: Scope): string | undefined {
    const constant = (name: string) => typeof this.weights.resolve(name, scope) !== 'string';
    let value = node.outputs[0];
    for (let step = 0; step < 4 && value; step++) {
      const readers: OnnxNode[] = (scope.readers.get(value) ?? []).slice(0, MOST_READERS);
      const next = readers.find(({ type }) => PASSED.has(type) || type === 'Mul');
      if (next?.type === 'Mul') {
        const [left, right] = next.inputs;
        const other = left === value ? right : left;
        if (constant(other)) return other;
        const factor = scope.values.get(other);
        return factor?.kind === 'node' && factor.type === 'Mul'
          ? factor.inputs.slice(0, 2).findLast(constant)
          : undefined;
      }
      value = next?.outputs[0] ?? '';
    }
    return undefined;
  }

  /** The one node that reads a value, and as which input: behind the end of a function, or inside one that is called. */
  private onlyReader(value: string, scope: Scope, depth = 0): Reader | undefined {
    const readers = scope.readers.get(value) ?? [];
    if (!value || depth > DEEPEST || readers.length > 1) return undefined;
    const [node] = readers;
    if (scope.outputs.has(value)) {
      const { call } = scope;
      const output = call?.node.outputs[placeOf(value, call.called.outputs)];
      return call && output && !node ? this.onlyReader(output, call.scope, depth + 1) : undefined;
    }
    if (!node) return undefined;
    if (scope.values.get(node.outputs[0] ?? '') !== node) return undefined; // in a branch that may not run
    const input = placeOf(value, node.inputs);
    const called = this.weights.functionOf(node);
    if (!called) return { node, input, scope };
    return this.onlyReader(called.inputs[input] ?? '', callScope(called, node, scope), depth + 1);
  }

  /** W · γ / √(σ² + ε) for each output, where nothing but a BatchNormalization reads the convolution's result. */
  private folded(layer: ConvLayer, node: OnnxNode, scope: Scope): ConvLayer | string {
    const reader = this.onlyReader(node.outputs[0] ?? '', scope);
    if (reader?.node.type !== 'BatchNormalization' || reader.input !== 0) return layer;
    if (attributeOf(reader.node, 'training_mode', reader.scope)?.int) return layer; // by the batch's own statistics
    const gamma = this.weights.resolve(reader.node.inputs[1] ?? '', reader.scope);
    const variance = this.weights.resolve(reader.node.inputs[4] ?? '', reader.scope);
    if (typeof gamma === 'string' || typeof variance === 'string')
      return 'its BatchNormalization is not constant';
    const [out] = layer.shape;
    if (gamma.shape.join() !== `${out}` || variance.shape.join() !== `${out}`)
      return `its BatchNormalization is for [${gamma.shape}] channels, not ${out}`;
    const epsilon = attributeOf(reader.node, 'epsilon', reader.scope)?.float ?? 1e-5;
    return {
      ...layer,
      read: async () => {
        const [scale, spread] = [gamma.read(), variance.read()];
        const size = layer.shape[1] * layer.shape[2] * layer.shape[3];
        const factors = scale.map((g, o) => g / Math.sqrt(spread[o] + epsilon));
        return (await layer.read()).map((x, i) => x * factors[Math.floor(i / size)]);
      },
    };
  }
}

const nameOf = (node: OnnxNode, place: string, i: number): string =>
  node.name || node.outputs[0] || `${place}/${node.type}_${i}`;

function toLayer(
  name: string,
  transposed: boolean,
  group: number,
  { shape, dtype, read }: StoredTensor,
): ConvLayer | string {
  if (shape.length !== 4)
    return shape.length === 3 || shape.length === 5
      ? `a ${shape.length - 2}-D convolution`
      : `its weights have ${shape.length} dimensions`;
  const [first, second, h, w] = shape;
  if (first * second * h * w === 0) return `its weights [${shape}] are empty`;
  if (group < 1 || first % group !== 0) return `${group} groups do not divide its ${first} channels`;
  if (!transposed)
    // second = inputs of a group, so 1 means that every group is one input channel
    return {
      name,
      kind: second === 1 && group > 1 ? 'depthwise' : 'conv',
      shape: [first, second, h, w],
      dtype,
      read,
    };
  // ConvTranspose: [in, out of a group, h, w] → [group · out of a group, in of a group, h, w]
  const inputs = first / group;
  return {
    name,
    kind: 'transposed',
    shape: [group * second, inputs, h, w],
    dtype,
    read: () => permuteAxes(read(), [group, inputs, second, h * w], [0, 2, 1, 3]),
  };
}
