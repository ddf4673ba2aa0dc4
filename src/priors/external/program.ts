// A graph of ONNX operators as plain data, and running it with TensorFlow.js operations: inside a step, with gradients.
// Weights are parameters of the prior. Everything here comes from files of others, so that all of it is checked.
import { z } from 'zod';
import { sizeOf, tf } from '../../engine/index.js';
import { DwpError, inputError, messageOf } from '../../errors.js';
import type { Tensors } from '../prior.js';
import { operators } from './operators.js';
import { isIntegers, type Value } from './values.js';

const numbers = z.array(z.number()).max(100_000);
const node = z.object({
  op: z.string(),
  name: z.string(),
  inputs: z.array(z.string()).max(1000),
  outputs: z.array(z.string()).min(1).max(1000),
  attributes: z.record(z.string(), z.union([z.number(), z.string(), numbers])).default({}),
});
export const programSchema = z.object({
  /** Names in the graph by what they are: `{ w: 'input.1' }`. */
  inputs: z.record(z.string(), z.string()),
  outputs: z.record(z.string(), z.string()),
  /** How kernels lie in the input `w`: [n, d], [n, h, w] or [n, channels, h, w]. */
  rank: z.number().int().min(2).max(4).default(3),
  /** Which parameter of the prior each weight is. */
  weights: z.record(z.string(), z.string()),
  integers: z.record(z.string(), z.object({ shape: z.array(z.number().int().min(0)), integers: numbers })),
  nodes: z.array(node).max(10_000),
});
export type Program = z.infer<typeof programSchema>;
export type ProgramNode = z.infer<typeof node>;

/** Most numbers that a value between two nodes may have, and most of whole numbers that are known. */
const LARGEST = 2 ** 28;
const MOST_INTEGERS = 100_000;

const described = ({ op, name }: ProgramNode) => `node ${JSON.stringify(name)} (${op})`;

/** @throws DwpError INPUT for an operator that is not read, and for a name that nothing before it makes */
export function checkProgram(label: string, { inputs, outputs, weights, integers, nodes }: Program): void {
  const made = new Set(['', ...Object.values(inputs), ...Object.keys(weights), ...Object.keys(integers)]);
  for (const each of nodes) {
    if (!Object.hasOwn(operators, each.op))
      throw inputError(
        `${label}: ${described(each)} has an operator that is not read`,
        `these are: ${Object.keys(operators).join(', ')}`,
      );
    const missing = each.inputs.find((name) => !made.has(name));
    if (missing !== undefined)
      throw inputError(
        `${label}: ${described(each)} uses ${JSON.stringify(missing)}, which nothing before it makes`,
        'name every input of the graph in its description',
      );
    for (const name of each.outputs) made.add(name);
  }
  for (const [role, name] of Object.entries(outputs))
    if (!name || !made.has(name))
      throw inputError(
        `${label}: nothing makes its output ${JSON.stringify(name)} (${role})`,
        'check its name',
      );
}

/**
 * @param given by role
 * @returns outputs by role
 * @throws DwpError INPUT when a node cannot be computed
 */
export function runProgram(label: string, program: Program, given: Tensors, parameters: Tensors): Tensors {
  const values = new Map<string, Value>();
  for (const [name, integers] of Object.entries(program.integers)) values.set(name, integers);
  for (const [name, parameter] of Object.entries(program.weights)) values.set(name, parameters[parameter]);
  for (const [role, name] of Object.entries(program.inputs)) values.set(name, given[role]);
  for (const node of program.nodes) {
    try {
      const inputs = node.inputs.map((name) => (name ? values.get(name) : undefined));
      const outputs = operators[node.op]({ inputs, attributes: node.attributes, count: node.outputs.length });
      node.outputs.forEach((name, i) => {
        if (!name) return;
        const value = outputs[i];
        if (!value) throw new Error(`it has no result ${i}`);
        if (!(sizeOf(value.shape) <= (isIntegers(value) ? MOST_INTEGERS : LARGEST)))
          throw new Error(`a result of shape [${value.shape}] is too large`);
        values.set(name, value);
      });
    } catch (error) {
      if (error instanceof DwpError) throw error;
      throw inputError(
        `${label}: ${described(node)}: ${messageOf(error)}`,
        'simplify or export the graph again',
        error,
      );
    }
  }
  return Object.fromEntries(
    Object.entries(program.outputs).map(([role, name]) => {
      const value = values.get(name)!;
      return [role, isIntegers(value) ? tf.tensor([...value.integers], [...value.shape]) : value];
    }),
  );
}
