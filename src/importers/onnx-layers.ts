// The convolutions of an ONNX model, graph by graph: which input holds the weights, how they are laid out and scaled.
import { inputError } from '../errors.js';
import { type ByteSource, shown } from '../formats/source.js';
import { foldInto } from './fold-batch-norm.js';
import { type BatchNormRecord, type ConvLayer, type ModelLayers, permuteAxes } from './layers.js';
import { type ComputedTensor, ConstantEvaluator } from './onnx-constants.js';
import type { OnnxFile, OnnxGraph, OnnxNode } from './onnx-file.js';
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
  private readonly constants: ConstantEvaluator;
  /** How many nodes of each type there are. */
  private readonly types = new Map<string, number>();
  /** What is to be looked at, in the order of the nodes. */
  private readonly found: (() => void | Promise<void>)[] = [];
  /** Names of BatchNormalization nodes, and those of them that were folded. */
  private readonly norms = new Map<OnnxNode, string>();
  private readonly foldedNorms = new Set<OnnxNode>();

  constructor(
    private readonly source: ByteSource,
    { functions, opset }: Pick<OnnxFile, 'functions' | 'opset'>,
    private readonly foldBatchNorm: boolean,
  ) {
    this.weights = new WeightResolver(source, functions);
    const functionOf = (node: OnnxNode) => this.weights.functionOf(node);
    this.constants = new ConstantEvaluator({ source, opset, functionOf });
  }

  /** Finds the layers of a model's graph. */
  async read(graph: OnnxGraph): Promise<void> {
    this.graph(graph);
    for (const look of this.found.splice(0)) await look();
    if (this.layers.length + this.skipped.length > 0) return;
    const types = [...this.types].sort(([, a], [, b]) => b - a);
    const list = types.slice(0, 5).map(([type, count]) => `${count} ${shown(type)}`);
    if (types.length > 5) list.push('…');
    this.skipped.push({
      layer: graph.name || 'graph',
      reason: `none of its ${types.reduce((sum, [, count]) => sum + count, 0)} nodes is a convolution${list.length > 0 ? `: ${list.join(', ')}` : ''}`,
    });
  }

  /** Frees what computed weights. */
  close(): void {
    void this.constants.release();
  }

  private graph(graph: OnnxGraph, outer?: Scope, depth = 0): void {
    this.body(graph.nodes, graphScope(graph, outer), graph.name, depth);
  }

  private body(nodes: readonly OnnxNode[], scope: Scope, place: string, depth: number): void {
    const tooDeep = (what: string) =>
      inputError(`${this.source.path}: ${what} are nested deeper than ${DEEPEST}`, 'export the model again');
    this.count();
    nodes.forEach((node, i) => {
      this.count();
      const { type } = node;
      this.types.set(type, (this.types.get(type) ?? 0) + 1);
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
        this.found.push(() => this.convolution(node, scope, nameOf(node, place, i)));
      else if (node.type === 'BatchNormalization') this.norms.set(node, nameOf(node, place, i));
      else if (/conv/i.test(node.type)) {
        const layer = nameOf(node, place, i);
        const reason = `${shown(node.type)}, a kind of convolution that is not read`;
        this.found.push(() => void this.skipped.push({ layer, reason }));
      }
    });
  }

  private count(): void {
    if (++this.nodes > MOST_NODES)
      throw inputError(`${this.source.path}: more than ${MOST_NODES} nodes`, 'export the model again');
  }

  /** Weights that are stored, or computed from what is stored. @returns the reason where they are neither */
  private async constant(name: string, scope: Scope): Promise<StoredTensor | ComputedTensor | string> {
    const stored = this.weights.resolve(name, scope);
    return typeof stored === 'string' ? this.constants.compute(name, scope) : stored;
  }

  private async convolution(node: OnnxNode, scope: Scope, name: string): Promise<void> {
    const skip = (reason: string) => this.skipped.push({ layer: name, reason });
    if (/nchwc$/.test(node.domain)) return void skip('its weights are laid out in blocks for one processor');
    const weights = await this.weightsOf(node, scope);
    if (typeof weights === 'string') return void skip(weights);
    if (this.seen.has(weights.origin)) return;
    const layer = toLayer(name, node.type === 'ConvTranspose', this.groupsOf(node, scope), weights);
    if (typeof layer === 'string') return void skip(layer);
    const folded = this.foldBatchNorm ? await this.folded(layer, node, scope) : layer;
    if (typeof folded === 'string') return void skip(folded);
    this.seen.add(weights.origin);
    this.layers.push(folded);
  }

  private async weightsOf(node: OnnxNode, scope: Scope): Promise<StoredTensor | ComputedTensor | string> {
    const { weights: input, scale, zero } = CONVOLUTIONS[node.type];
    const [name, zeroName] = [node.inputs[input] ?? '', zero === undefined ? '' : (node.inputs[zero] ?? '')];
    if (zero === undefined) {
      const weights = await this.constant(name, scope);
      return typeof weights === 'string' || weights.isFloat
        ? weights
        : `its weights are ${weights.dtype}, not float`;
    }
    const stored = this.weights.resolve(name, scope);
    if (typeof stored === 'string') return stored;
    const factor = scale === undefined ? this.scaleAfter(node, scope) : (node.inputs[scale] ?? '');
    return factor === undefined
      ? 'its weights are quantised, and their scale is not found behind it'
      : this.weights.dequantised(stored, factor, zeroName, { scope, axis: 0 });
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
  private async folded(layer: ConvLayer, node: OnnxNode, scope: Scope): Promise<ConvLayer | string> {
    const reader = this.onlyReader(node.outputs[0] ?? '', scope);
    if (reader?.node.type !== 'BatchNormalization' || reader.input !== 0) return layer;
    if (attributeOf(reader.node, 'training_mode', reader.scope)?.int) return layer; // by the batch's own statistics
    const gamma = await this.constant(reader.node.inputs[1] ?? '', reader.scope);
    const variance = await this.constant(reader.node.inputs[4] ?? '', reader.scope);
    if (typeof gamma === 'string' || typeof variance === 'string')
      return 'its BatchNormalization is not constant';
    const [out] = layer.shape;
    if (gamma.shape.join() !== `${out}` || variance.shape.join() !== `${out}`)
      return `its BatchNormalization is for [${gamma.shape}] channels, not ${out}`;
    const epsilon = attributeOf(reader.node, 'epsilon', reader.scope)?.float ?? 1e-5;
    this.foldedNorms.add(reader.node);
    const name = reader.node.name || (reader.node.outputs[0] ?? '');
    return foldInto(layer, { name, channels: out, epsilon, gamma: gamma.read, variance: variance.read });
  }

  /** Which batch norms were folded, when all graphs have been looked at. */
  batchNorms(): BatchNormRecord {
    const left = [...this.norms].filter(([node]) => !this.foldedNorms.has(node));
    const reason = 'no convolution is read by it alone, or its values are not constant';
    return {
      folded: this.foldedNorms.size,
      notFolded: left.map(([, batchNorm]) => ({ batchNorm, reason })),
    };
  }
}

const nameOf = (node: OnnxNode, place: string, i: number): string =>
  node.name || node.outputs[0] || `${place}/${node.type}_${i}`;

function toLayer(
  name: string,
  transposed: boolean,
  group: number,
  { shape, dtype, read }: StoredTensor | ComputedTensor,
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
    read: async () => permuteAxes(await read(), [group, inputs, second, h * w], [0, 2, 1, 3]),
  };
}
