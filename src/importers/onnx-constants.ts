// Weights that a model computes from its constants (scaled, normalised, split, masked, …): the operators between the
// constants and the weights are run one by one, each only if its result is no larger than the file explains.
import type { EngineArray, Operator, OperatorRunner } from '../engine/operator.js';
import { inputError, messageOf } from '../errors.js';
import { toFloat32 } from '../formats/floats.js';
import { sizeOf } from '../formats/shape.js';
import { type ByteSource, shown } from '../formats/source.js';
import type { OnnxFunction, OnnxNode } from './onnx-file.js';
import { COMPUTED } from './onnx-operators.js';
import { attributeOf, callScope, lookUp, placeOf, type Scope } from './onnx-scope.js';
import { type FileTensor, storedTensor } from './onnx-tensor.js';

export interface ComputedTensor {
  shape: number[];
  dtype: string;
  isFloat: boolean;
  /** The same for the same value. */
  origin: string;
  /** Computes them again: nothing is kept. */
  read(): Promise<Float32Array>;
}

export interface ModelParts {
  source: ByteSource;
  opset: number;
  functionOf(node: OnnxNode): OnnxFunction | undefined;
}

/** Nodes between the constants and one weight, and in all. */
const [MOST_NODES, MOST_RUNS] = [256, 20_000];
/** Values in memory for one weight, whatever the file's size; a file has more if it is larger. */
const FEWEST_VALUES = 2 ** 22;
/** Values computed in all. */
const MOST_VALUES = 2 ** 31;
const LONGEST_ATTRIBUTE = 2 ** 16;
/** Where a file does not say it. */
const USUAL_OPSET = 17;
const FLOATS = ['float32', 'float64', 'float16'];

/** Why a value cannot be computed. */
class Refusal extends Error {}

/** The values of one weight on the way to it. */
interface Evaluation {
  known: Map<Scope, Map<string, EngineArray>>;
  calls: Map<Scope, Map<OnnxNode, Scope>>;
  nodes: number;
  values: number;
}

export class ConstantEvaluator {
  private runner: OperatorRunner | undefined;
  private readonly ids = new Map<object, number>();
  private runs = 0;
  private values = 0;

  constructor(private readonly model: ModelParts) {}

  /** @returns the computed weights, or the reason why they cannot be computed. */
  async compute(name: string, scope: Scope): Promise<ComputedTensor | string> {
    try {
      const { shape, type } = await this.evaluate(name, scope);
      const about = { shape: [...shape], dtype: type, isFloat: FLOATS.includes(type) };
      const read = async () => {
        try {
          return floatsOf(await this.evaluate(name, scope));
        } catch (error) {
          if (error instanceof Refusal) throw inputError(`${this.model.source.path}: ${error.message}`);
          throw error;
        }
      };
      return { ...about, origin: this.originOf(name, scope), read };
    } catch (error) {
      if (error instanceof Refusal) return error.message;
      throw error;
    }
  }

  async release(): Promise<void> {
    await this.runner?.release();
  }

  private evaluate(name: string, scope: Scope): Promise<EngineArray> {
    return this.value(name, scope, { known: new Map(), calls: new Map(), nodes: 0, values: 0 });
  }

  private async value(name: string, from: Scope, run: Evaluation): Promise<EngineArray> {
    const origin = lookUp(name, from);
    if (!origin)
      throw new Refusal(
        `its weights depend on ${shown(name)}, an input of the graph: they are not in the file; export it with ` +
          'its weights (export_params of torch.onnx.export)',
      );
    if (origin === 'sparse') throw new Refusal('its weights are stored sparse, which is not read');
    const { made, scope } = origin;
    const known = run.known.get(scope)?.get(origin.name);
    if (known) return known;
    let results: (readonly [string, EngineArray])[];
    if (made.kind === 'tensor')
      results = [[origin.name, this.stored(storedTensor(made, this.model.source), run)]];
    else {
      if (++run.nodes > MOST_NODES)
        throw new Refusal(`its weights are computed by more than ${MOST_NODES} nodes`);
      const called = this.model.functionOf(made);
      if (called) {
        const inner = this.bodyOf(called, made, scope, run);
        const output = called.outputs[placeOf(origin.name, made.outputs)] ?? '';
        results = [[origin.name, await this.value(output, inner, run)]];
      } else {
        const arrays = await this.made(made, scope, run);
        results = arrays.map((array, i) => [made.outputs[i], array] as const);
      }
    }
    const names = run.known.get(scope) ?? new Map<string, EngineArray>();
    run.known.set(scope, names);
    for (const [each, array] of results) names.set(each, array);
    const result = names.get(origin.name);
    if (!result) throw new Refusal(`${describe(made as OnnxNode)} makes no ${shown(name)}`);
    return result;
  }

  private stored(tensor: FileTensor | string, run: Evaluation): EngineArray {
    if (typeof tensor === 'string') throw new Refusal(tensor);
    this.charge(sizeOf(tensor.shape), run, 'its constants are');
    return tensor.readExactly();
  }

  private async made(node: OnnxNode, scope: Scope, run: Evaluation): Promise<EngineArray[]> {
    const bound = ['', 'ai.onnx'].includes(node.domain) ? COMPUTED.get(node.type) : undefined;
    if (!bound)
      throw new Refusal(
        `its weights are computed by ${describe(node)}, which is not evaluated: save the model with its constants ` +
          'folded (onnxsim, or do_constant_folding of torch.onnx.export)',
      );
    const attributes = new Map<string, Uint8Array | EngineArray>();
    for (const name of node.attributes.keys()) {
      const attribute = attributeOf(node, name, scope);
      if (!attribute) continue;
      const { place, tensor, graphs, sparse } = attribute;
      if (graphs.length || sparse)
        throw new Refusal(`${describe(node)} holds a ${sparse ? 'sparse tensor' : 'graph'}`);
      if (tensor) attributes.set(name, this.stored(storedTensor(tensor, this.model.source), run));
      else {
        if (place.end - place.start > LONGEST_ATTRIBUTE && !attribute.floats)
          throw new Refusal(`${describe(node)} has an attribute of ${place.end - place.start} bytes`);
        attributes.set(name, this.model.source.read(place.start, place.end - place.start));
      }
    }
    const constant = node.type === 'Constant' ? attributes.get('value') : undefined;
    if (constant && !(constant instanceof Uint8Array)) return [constant];
    const inputs: (EngineArray | undefined)[] = [];
    for (const input of node.inputs) inputs.push(input ? await this.value(input, scope, run) : undefined);
    const count = bound({
      inputs,
      int: (name) => attributeOf(node, name, scope)?.int,
      ints: (name) => attributeOf(node, name, scope)?.ints,
      text: (name) => attributeOf(node, name, scope)?.text ?? '',
    });
    this.charge(node.type === 'Constant' ? LONGEST_ATTRIBUTE : count, run, `${describe(node)} makes`);
    if (++this.runs > MOST_RUNS)
      throw new Refusal(`more than ${MOST_RUNS} operators compute the model's weights`);
    const operator: Operator = {
      type: node.type,
      opset: this.opsetOf(scope),
      attributes,
      outputs: node.outputs.length,
    };
    this.runner ??= new (await import('../engine/operator.js')).OperatorRunner();
    try {
      return await this.runner.run(operator, inputs);
    } catch (error) {
      throw new Refusal(`onnxruntime cannot compute ${describe(node)}: ${brief(messageOf(error))}`);
    }
  }

  private charge(values: number, run: Evaluation, what: string): void {
    run.values += values;
    this.values += values;
    const most = Math.max(FEWEST_VALUES, 2 * this.model.source.size);
    if (!(run.values <= most))
      throw new Refusal(
        `its weights are not computed: ${what} ${Number.isNaN(values) ? 'an unknown number of' : values} values, ` +
          `and a file of ${this.model.source.size} bytes may have ${most} of them`,
      );
    if (this.values > MOST_VALUES)
      throw new Refusal(`its weights are not computed: the model has too many to compute`);
  }

  private bodyOf(called: OnnxFunction, node: OnnxNode, scope: Scope, { calls }: Evaluation): Scope {
    const known = calls.get(scope) ?? new Map<OnnxNode, Scope>();
    calls.set(scope, known);
    const body = known.get(node) ?? callScope(called, node, scope);
    known.set(node, body);
    return body;
  }

  private opsetOf(scope: Scope): number {
    let holder: Scope | undefined = scope;
    while (holder && !holder.call) holder = holder.outer;
    return holder?.call?.called.opset || this.model.opset || USUAL_OPSET;
  }

  /** What makes the value, and the calls of functions that it is made in. */
  private originOf(name: string, from: Scope): string {
    const origin = lookUp(name, from);
    if (!origin || origin === 'sparse') return name;
    const calls: number[] = [];
    for (let scope: Scope | undefined = origin.scope; scope; scope = scope.call?.scope ?? scope.outer)
      if (scope.call) calls.push(this.idOf(scope.call.node));
    return JSON.stringify(['computed', this.idOf(origin.made), origin.name, calls]);
  }

  private idOf(object: object): number {
    const id = this.ids.get(object) ?? this.ids.size;
    this.ids.set(object, id);
    return id;
  }
}

const describe = ({ type, name, outputs }: OnnxNode) =>
  `the node ${shown(name || outputs[0] || '')} (${shown(type)})`;

/** Without onnxruntime's places in its own code. */
function brief(message: string): string {
  const line = message.replace(/\s+/g, ' ').replace(/^.*(?:Status Message|Message): /, '');
  return line.length > 160 ? `${line.slice(0, 157)}…` : line;
}

function floatsOf({ type, data }: EngineArray): Float32Array {
  if (type === 'float16') {
    const { buffer, byteOffset, byteLength } = data as Uint16Array<ArrayBuffer>;
    return toFloat32(new Uint8Array(buffer, byteOffset, byteLength), 'float16');
  }
  return data instanceof Float32Array ? data : Float32Array.from<number | bigint>(data, Number);
}
