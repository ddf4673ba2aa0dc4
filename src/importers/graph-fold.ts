// Batch norms of a graph with the convolution right before each: the value that it acts on is followed back through
// steps that keep channels apart (an added bias), as long as nothing else reads it.
import type { BatchNorm, Pair } from './fold-batch-norm.js';
import type { ConvLayer } from './layers.js';

export interface GraphStep {
  /** The value that it acts on, and the value that it makes; both within one graph. */
  input: string;
  output: string;
  /** What it is called in a reason: `Relu`, `MAX_POOL_2D`. */
  type: string;
  /** Of a convolution: its layer, or why there is none; `weights` tells whether two share theirs. */
  convolution?: { layer: ConvLayer | undefined; weights: string; activated: boolean };
  /** Whether it adds a constant to each channel, or moves pixels alone. */
  passes?: boolean;
  /** What it multiplies each channel by, or why that is not known. */
  norm?: BatchNorm | { name: string; reason: string };
  /** Whether the multiplication might be anything: it is passed over where no convolution stands before it. */
  uncertain?: boolean;
}

export interface GraphPairs {
  pairs: Pair[];
  left: { batchNorm: string; reason: string }[];
}

const LONGEST = 8; // steps between a convolution and its batch norm

/**
 * @param steps of one graph
 * @param readers how often each value is read, by results of the graph too
 * @param shared weights that more than one convolution of the model uses
 */
export function pairsInGraph(
  steps: readonly GraphStep[],
  readers: ReadonlyMap<string, number>,
  shared: ReadonlySet<string>,
): GraphPairs {
  const makers = new Map(steps.map((step) => [step.output, step]));
  const result: GraphPairs = { pairs: [], left: [] };
  for (const { input, norm, uncertain } of steps) {
    if (!norm) continue;
    const before = convolutionBefore(input, makers, readers, shared);
    if (typeof before === 'string') {
      if (!uncertain) result.left.push({ batchNorm: norm.name, reason: before });
    } else if ('reason' in norm) result.left.push({ batchNorm: norm.name, reason: norm.reason });
    else result.pairs.push({ layer: before, norm });
  }
  return result;
}

function convolutionBefore(
  value: string,
  makers: ReadonlyMap<string, GraphStep>,
  readers: ReadonlyMap<string, number>,
  shared: ReadonlySet<string>,
): ConvLayer | string {
  let at = value;
  for (let i = 0; i < LONGEST; i++) {
    const step = makers.get(at);
    if (!step) return 'it follows an input of the graph, no convolution';
    if (!step.convolution && !step.passes) return `it follows ${step.type}, no convolution`;
    if ((readers.get(at) ?? 0) > 1) return 'what it follows is read elsewhere too';
    if (step.convolution) {
      const { layer, weights, activated } = step.convolution;
      if (activated) return 'the convolution before it has an activation';
      if (shared.has(weights)) return 'the convolution before it shares its weights with another';
      return layer ?? 'the weights of the convolution before it are not read';
    }
    at = step.input;
  }
  return `more than ${LONGEST} steps lie between it and a convolution`;
}
