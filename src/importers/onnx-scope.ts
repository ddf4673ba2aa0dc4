// Where a name of an ONNX graph leads: to the node or constant that makes the value, in this graph, in one that it
// lies in, or, inside a function, at its call.
import type { OnnxAttribute, OnnxFunction, OnnxGraph, OnnxNode, OnnxTensor } from './onnx-file.js';

/** The nodes that see the same names. */
export interface Scope {
  values: Map<string, OnnxTensor | OnnxNode>;
  /** Names of sparse constants. */
  sparse: ReadonlySet<string>;
  /** Which nodes read a value: of this graph and those inside it. */
  readers: Map<string, OnnxNode[]>;
  /** Names that leave the graph. */
  outputs: ReadonlySet<string>;
  /** The graph that this one lies in. */
  outer?: Scope;
  /** Of a function's body: what its inputs and attributes are at the call. */
  call?: { called: OnnxFunction; node: OnnxNode; scope: Scope };
}

/** What makes a value, and where the names of its inputs are looked up. */
export interface Origin {
  made: OnnxTensor | OnnxNode;
  /** What the value is called there: another name than outside of a function. */
  name: string;
  scope: Scope;
}

/** What is the same for every call of a function, and for every look at a graph in its body. */
const graphs = new WeakMap<OnnxGraph, Scope>();
const bodies = new WeakMap<OnnxFunction, Scope>();

export function graphScope(graph: OnnxGraph, outer?: Scope): Scope {
  let scope = graphs.get(graph);
  if (!scope) {
    scope = scopeOf(graph.nodes, graph.outputs, graph.sparse);
    for (const tensor of graph.initializers) scope.values.set(tensor.name, tensor);
    graphs.set(graph, scope);
  }
  return { ...scope, ...(outer && { outer }) };
}

/** The body of a function as called by a node. */
export function callScope(called: OnnxFunction, node: OnnxNode, scope: Scope): Scope {
  const body = bodies.get(called) ?? scopeOf(called.nodes, called.outputs, []);
  bodies.set(called, body);
  return { ...body, call: { called, node, scope } };
}

const places = new WeakMap<readonly string[], ReadonlyMap<string, number>>();

/** As `names.indexOf(name)`, but quick however often a long list is asked. */
export function placeOf(name: string, names: readonly string[]): number {
  if (names.length <= 16) return names.indexOf(name);
  let known = places.get(names);
  if (!known) {
    known = new Map(names.map((each, i) => [each, i] as const).reverse());
    places.set(names, known);
  }
  return known.get(name) ?? -1;
}

function scopeOf(nodes: readonly OnnxNode[], outputs: readonly string[], sparse: readonly string[]): Scope {
  const values: Scope['values'] = new Map();
  const readers: Scope['readers'] = new Map();
  const read = (list: readonly OnnxNode[]): void => {
    for (const node of list) {
      for (const name of node.inputs) {
        const known = readers.get(name);
        if (known) known.push(node);
        else readers.set(name, [node]);
      }
      for (const { graphs } of node.attributes.values()) for (const inner of graphs) read(inner.nodes);
    }
  };
  read(nodes);
  for (const node of nodes) for (const name of node.outputs) if (name) values.set(name, node);
  return { values, readers, outputs: new Set(outputs), sparse: new Set(sparse) };
}

/** @returns undefined when nothing in the model makes the value: it is an input of the graph */
export function lookUp(name: string, from: Scope): Origin | 'sparse' | undefined {
  let scope: Scope | undefined = from;
  while (scope && name) {
    const made: OnnxTensor | OnnxNode | undefined = scope.values.get(name);
    if (made) return { made, name, scope };
    if (scope.sparse.has(name)) return 'sparse';
    const { call }: Scope = scope;
    const place = call ? placeOf(name, call.called.inputs) : -1;
    if (call && place >= 0) {
      name = call.node.inputs[place] ?? '';
      scope = call.scope;
    } else scope = scope.outer;
  }
  return undefined;
}

/** An attribute of a node; in the body of a function it may stand for one of the call. */
export function attributeOf(node: OnnxNode, name: string, scope: Scope): OnnxAttribute | undefined {
  const attribute = node.attributes.get(name);
  if (!attribute?.reference) return attribute;
  let holder: Scope | undefined = scope;
  while (holder && !holder.call) holder = holder.outer;
  if (!holder?.call) return undefined;
  const { called, node: caller, scope: outside } = holder.call;
  return attributeOf(caller, attribute.reference, outside) ?? called.defaults.get(attribute.reference);
}
