// Where the convolution weights of an ONNX model lie in its file, so that they can be written over: everything else
// stays as it is, byte for byte.
import { inputError } from '../errors.js';
import { FLOAT_BYTES, type FloatType } from '../formats/floats.js';
import { type ByteSource, shown } from '../formats/source.js';
import { type OnnxFile, type OnnxGraph, type OnnxNode, type OnnxTensor, readOnnxFile } from './onnx-file.js';
import { attributeOf, callScope, graphScope, lookUp, type Origin, type Scope } from './onnx-scope.js';
import { storedTensor } from './onnx-tensor.js';

/** The weights of a convolution, or of several that share them. */
export interface WeightPlace {
  /** Of the first layer that uses them. */
  layer: string;
  /** As stored: [out, in / groups, h, w], of a transposed convolution [in, out / groups, h, w]. */
  shape: number[];
  transposed: boolean;
  dtype: FloatType;
  /** Ranges of the file, in order: little-endian numbers without gaps between them. */
  parts: { start: number; end: number }[];
  read(): Float32Array;
}

export interface WeightPlaces {
  places: WeightPlace[];
  /** Convolutions whose weights cannot be written over. */
  left: { layer: string; reason: string; shape?: number[] }[];
}

const DEEPEST = 16;
const MOST_NODES = 400_000;
/** Operators that change nothing of the values' order. */
const PASSED = new Set(['Identity', 'Cast', 'CastLike', 'Dropout']);
const CONVOLUTIONS = new Set(['Conv', 'ConvTranspose']);

/** @throws DwpError INPUT when the source is no ONNX model, or keeps weights in other files */
export function findWeightPlaces(source: ByteSource): WeightPlaces {
  const file = readOnnxFile(source);
  if (!file.graph)
    throw inputError(
      `${source.path}: not an ONNX model (it holds no graph)`,
      'check that this is the right file',
    );
  return new PlaceFinder(source, file).found(file.graph);
}

class PlaceFinder {
  private readonly places = new Map<OnnxTensor, WeightPlace>();
  private readonly left: WeightPlaces['left'] = [];
  private nodes = 0;

  constructor(
    private readonly source: ByteSource,
    private readonly file: OnnxFile,
  ) {}

  found(graph: OnnxGraph): WeightPlaces {
    this.graph(graph, undefined, 0);
    return { places: [...this.places.values()], left: this.left };
  }

  private graph(graph: OnnxGraph, outer: Scope | undefined, depth: number): void {
    for (const { external, name } of graph.initializers)
      if (external)
        throw inputError(
          `${this.source.path}: ${shown(name)} lies in another file`,
          'save the model as one file first: onnx.save_model(model, path, save_as_external_data=False)',
        );
    this.body(graph.nodes, graphScope(graph, outer), graph.name, depth);
  }

  private body(nodes: readonly OnnxNode[], scope: Scope, place: string, depth: number): void {
    if (depth > DEEPEST)
      throw inputError(`${this.source.path}: nested deeper than ${DEEPEST}`, 'export it again');
    nodes.forEach((node, i) => {
      if (++this.nodes > MOST_NODES)
        throw inputError(`${this.source.path}: more than ${MOST_NODES} nodes`, 'export it again');
      for (const { graphs } of node.attributes.values())
        for (const inner of graphs) this.graph(inner, scope, depth + 1);
      const called = this.file.functions.find(
        ({ name, domain, overload }) =>
          name === node.type && domain === node.domain && overload === node.overload,
      );
      if (called) this.body(called.nodes, callScope(called, node, scope), called.name, depth + 1);
      else if (/conv/i.test(node.type)) {
        const layer = node.name || `${place || 'graph'}/${node.type}_${i}`;
        const result = this.placeOf(node, scope);
        if (typeof result !== 'string') this.places.set(result.tensor, { layer, ...result.place });
        else if (result) this.left.push({ layer, reason: result });
      }
    });
  }

  /** @returns the reason why not; an empty one where another layer has the same weights */
  private placeOf(
    node: OnnxNode,
    scope: Scope,
  ): { tensor: OnnxTensor; place: Omit<WeightPlace, 'layer'> } | string {
    if (!CONVOLUTIONS.has(node.type) || !['', 'ai.onnx'].includes(node.domain))
      return `${shown(node.type)} is no plain convolution`;
    const origin = this.origin(node.inputs[1] ?? '', scope);
    if (typeof origin === 'string') return origin;
    const { tensor, users } = origin;
    if (this.places.has(tensor)) return '';
    const other = users.find(({ type, inputs }) => !(CONVOLUTIONS.has(type) && inputs[0] !== origin.name));
    if (other) return `its weights are also used by ${shown(other.type)}`;
    if (tensor.external) return 'its weights lie in another file';
    const stored = storedTensor(tensor, this.source);
    if (typeof stored === 'string') return stored;
    const { shape, dtype, read } = stored;
    if (!(dtype in FLOAT_BYTES)) return `its weights are ${dtype}, not float`;
    if (shape.length !== 4) return `it has ${shape.length - 2} dimensions, not 2`;
    const field = dtype === 'float32' ? 4 : dtype === 'float64' ? 10 : undefined;
    if (!tensor.raw && field === undefined) return `its ${dtype} weights are stored number by number`;
    const parts = tensor.raw ? [tensor.raw] : tensor.typed.filter((part) => part.field === field);
    const transposed = node.type === 'ConvTranspose';
    return { tensor, place: { shape, transposed, dtype: dtype as FloatType, parts, read } };
  }

  /** The stored tensor behind a name, and the nodes that read it on the way. */
  private origin(
    name: string,
    scope: Scope,
  ): { tensor: OnnxTensor; users: OnnxNode[]; name: string } | string {
    for (let steps = 0; steps < DEEPEST; steps++) {
      const found: Origin | 'sparse' | undefined = lookUp(name, scope);
      if (!found) return 'its weights are an input of the network';
      if (found === 'sparse') return 'its weights are sparse';
      const { made } = found;
      const readers = found.scope.readers.get(found.name) ?? [];
      const users = readers.filter(({ type }) => !PASSED.has(type));
      if (made.kind === 'tensor') return { tensor: made, users, name: found.name };
      if (made.type === 'Constant') {
        const tensor = attributeOf(made, 'value', found.scope)?.tensor;
        return tensor
          ? { tensor, users, name: found.name }
          : 'its weights are a Constant that is no dense tensor';
      }
      if (!PASSED.has(made.type)) return `its weights are computed (${shown(made.type)})`;
      [name, scope] = [made.inputs[0] ?? '', found.scope];
    }
    return 'its weights are behind too many nodes';
  }
}
