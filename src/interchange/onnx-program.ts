// An ONNX graph of others → the plain program and the weights that a prior of the family `external` keeps.
import { f32, type NdArray } from '../engine/index.js';
import { inputError } from '../errors.js';
import { type ByteSource, shown } from '../formats/source.js';
import { type OnnxAttribute, type OnnxNode, type OnnxTensor, readOnnxFile } from '../importers/onnx-file.js';
import { storedTensor } from '../importers/onnx-tensor.js';
import type { Program } from '../priors/external/program.js';
import type { InterchangeGraph } from './interchange.js';

const MOST_INTEGERS = 100_000;
const STANDARD = ['', 'ai.onnx'];

/**
 * @param name of the graph; its weights are called `name.…`
 * @param rank axes of kernels where the graph's description does not say them
 * @throws DwpError INPUT for a damaged file, operators of another domain, and weights of types that are not read
 */
export function onnxProgram(
  source: ByteSource,
  name: string,
  { inputs, outputs }: InterchangeGraph,
  rank: number,
): { program: Program; arrays: Record<string, NdArray> } {
  const { graph } = readOnnxFile(source);
  if (!graph) throw inputError(`${source.path}: not an ONNX model (it holds no graph)`, 'check the file');
  const names = (ports: InterchangeGraph['inputs']) =>
    Object.fromEntries(Object.entries(ports).map(([role, port]) => [roleOf(role), port.name]));
  const program: Program = {
    inputs: names(inputs),
    outputs: names(outputs),
    rank: inputs.w?.shape?.length ?? rank,
    weights: {},
    integers: {},
    nodes: [],
  };
  const arrays: Record<string, NdArray> = {};
  const given = new Set(Object.values(program.inputs));

  function keep(as: string, tensor: OnnxTensor): void {
    if (given.has(as)) return; // an input with a default
    const stored = storedTensor(tensor, source);
    const refused = (why: string) =>
      inputError(`${source.path}: ${shown(as)}: ${why}`, 'export the graph again');
    if (typeof stored === 'string') throw refused(stored.replace('its weights are', 'it is'));
    const { shape, dtype, isFloat, read } = stored;
    if (isFloat) {
      program.weights[as] = `${name}.${as}`;
      arrays[`${name}.${as}`] = f32(shape, Float32Array.from(read()));
    } else if (dtype === 'int64' || dtype === 'int32') {
      if (shape.reduce((a, b) => a * b, 1) > MOST_INTEGERS)
        throw refused(`more than ${MOST_INTEGERS} whole numbers`);
      program.integers[as] = { shape, integers: [...read()] };
    } else throw refused(`it is ${dtype}`);
  }

  for (const tensor of graph.initializers) keep(tensor.name, tensor);
  for (const node of graph.nodes) {
    if (!STANDARD.includes(node.domain))
      throw inputError(
        `${source.path}: node ${shown(node.name)} has the operator ${shown(node.type)} of ${shown(node.domain)}`,
        'export the graph with operators of ONNX alone',
      );
    if (node.type === 'Constant') constant(node);
    else
      program.nodes.push({
        op: node.type,
        name: node.name,
        inputs: node.inputs,
        outputs: node.outputs,
        attributes: Object.fromEntries(
          [...node.attributes].map(([name, attribute]) => [name, plain(attribute)]),
        ),
      });
  }

  function constant({ outputs: [as], attributes }: OnnxNode): void {
    const of = (name: string) => attributes.get(name);
    const tensor = of('value')?.tensor ?? of('value_floats')?.floats;
    const numbers = of('value_ints')?.ints ?? (of('value_int') && [of('value_int')!.int]);
    const float = of('value_float')?.float;
    if (tensor) keep(as, tensor);
    else if (float !== undefined) {
      program.weights[as] = `${name}.${as}`;
      arrays[`${name}.${as}`] = f32([], Float32Array.of(float));
    } else if (numbers)
      program.integers[as] = { shape: of('value_ints') ? [numbers.length] : [], integers: numbers };
    else
      throw inputError(
        `${source.path}: the Constant ${shown(as)} holds no numbers`,
        'export the graph again',
      );
  }

  function plain({ ints, text, floats, tensor, float, int }: OnnxAttribute): number | string | number[] {
    if (ints.length > 0) return ints;
    if (text) return text;
    for (const values of [floats, tensor]) {
      const stored = values && storedTensor(values, source);
      if (typeof stored === 'object') return [...stored.read().subarray(0, 1000)];
    }
    return float || int;
  }
  return { program, arrays };
}

/** Noise is called in the sampler `noise_latent`, in the prior `latent`. */
export const roleOf = (port: string) => port.replace(/^noise_/, '');
