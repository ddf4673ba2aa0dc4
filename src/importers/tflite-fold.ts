// --fold-bn for TensorFlow Lite models: what is left of a batch norm is a MUL and an ADD by a constant for each channel.
import { inputError } from '../errors.js';
import type { Table } from '../formats/flatbuffers.js';
import { sizeOf } from '../formats/shape.js';
import type { BatchNorm } from './fold-batch-norm.js';
import { type GraphPairs, type GraphStep, pairsInGraph } from './graph-fold.js';
import type { ConvLayer } from './layers.js';
import { OPERATOR, resolve, type Storage, type Subgraph, TENSOR, type Weights } from './tflite-tensors.js';

export interface TfliteOperator {
  operator: Table;
  type: string;
}

export interface TfliteGraph {
  subgraph: Subgraph;
  operators: TfliteOperator[];
  /** Numbers of the tensors that the graph returns. */
  outputs: number[];
}

/** Which field of the options of an operator is its activation. */
const ACTIVATION: Readonly<Record<string, number>> = {
  ...{ CONV_2D: 3, DEPTHWISE_CONV_2D: 4, TRANSPOSE_CONV: 3 },
  ...{ ADD: 0, SUB: 0, MUL: 0 },
};

/** Which input of a convolution is the image. */
const IMAGE: Readonly<Record<string, number>> = { TRANSPOSE_CONV: 2 };

const MOST_INPUTS = 500_000;

/** @param layers those that were read, by where their weights lie in the file */
export function tflitePairs(
  storage: Storage,
  graphs: readonly TfliteGraph[],
  layers: ReadonlyMap<number, ConvLayer>,
): GraphPairs {
  const uses = new Map<string, number>();
  const found = graphs.map((graph) => stepsOf(storage, graph, layers));
  for (const { steps } of found)
    for (const { convolution } of steps)
      if (convolution) uses.set(convolution.weights, (uses.get(convolution.weights) ?? 0) + 1);
  const shared = new Set([...uses].flatMap(([weights, count]) => (count > 1 ? [weights] : [])));
  const each = found.map(({ steps, readers }) => pairsInGraph(steps, readers, shared));
  return { pairs: each.flatMap(({ pairs }) => pairs), left: each.flatMap(({ left }) => left) };
}

function stepsOf(
  storage: Storage,
  { subgraph, operators, outputs }: TfliteGraph,
  layers: ReadonlyMap<number, ConvLayer>,
): { steps: GraphStep[]; readers: Map<string, number> } {
  const readers = new Map<string, number>(outputs.map((tensor) => [String(tensor), 1]));
  const all = operators.map(({ operator, type }) => {
    const inputs = numbersOf(operator, OPERATOR.inputs);
    for (const tensor of new Set(inputs)) {
      const key = String(tensor);
      readers.set(key, (readers.get(key) ?? 0) + 1);
    }
    return { operator, type, inputs, output: numbersOf(operator, OPERATOR.outputs)[0] ?? -1 };
  });
  const total = all.reduce((sum, { inputs }) => sum + inputs.length, 0);
  if (total > MOST_INPUTS)
    throw inputError(
      `${storage.source.path}: its operators have ${total} inputs`,
      'fetch or export it again',
    );

  /** A factor or an addend for each channel, and the other input, which it acts on. */
  const eachChannel = (inputs: number[]): { constant: Weights; input: number } | undefined => {
    if (inputs.length !== 2) return undefined;
    for (const [which, input] of [inputs.toReversed(), inputs]) {
      const constant = resolve(storage, subgraph, which, 0);
      if (typeof constant === 'string') continue;
      const { shape } = constant;
      if (shape.length > 0 && sizeOf(shape) === shape.at(-1)) return { constant, input };
    }
    return undefined;
  };
  const shifted = new Set<number>();
  for (const { type, inputs } of all)
    if (type === 'ADD' || type === 'SUB') {
      const shift = eachChannel(inputs);
      if (shift) shifted.add(shift.input);
    }

  const steps = all.map(({ operator, type, inputs, output }): GraphStep => {
    const step = { type, input: String(inputs[0] ?? -1), output: String(output) };
    const activated =
      Object.hasOwn(ACTIVATION, type) &&
      (operator.table(OPERATOR.options)?.number(ACTIVATION[type], 'i8') ?? 0) !== 0;
    if (/conv(?!ert)/i.test(type)) {
      const weights = inputs.length > 1 ? resolve(storage, subgraph, inputs[1], 0) : '';
      const offset = typeof weights === 'string' ? -1 - output : weights.offset;
      return {
        ...step,
        input: String(inputs[IMAGE[type] ?? 0] ?? -1),
        convolution: { layer: layers.get(offset), weights: String(offset), activated },
      };
    }
    if (type === 'BATCH_TO_SPACE_ND') return { ...step, passes: true };
    if (!['ADD', 'SUB', 'MUL'].includes(type)) return step;
    const factor = eachChannel(inputs);
    if (!factor) return step;
    const { constant, input } = factor;
    if (type !== 'MUL') return { ...step, input: String(input), passes: !activated };
    const name = subgraph.tensors.at(output).text(TENSOR.name) || constant.name || `MUL_${output}`;
    const channels = constant.shape.at(-1)!;
    const norm: BatchNorm = { name, channels, epsilon: 0, gamma: constant.read };
    return { ...step, input: String(input), norm, uncertain: activated || !shifted.has(output) };
  });
  return { steps, readers };
}

function numbersOf(operator: Table, field: number): number[] {
  const vector = operator.numbers(field, 'i32');
  if (vector.length > MOST_INPUTS) return [];
  return Array.from({ length: vector.length }, (_, i) => vector.at(i));
}
