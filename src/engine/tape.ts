// Gradients of gradients. TensorFlow.js hands copies to an operation's gradient and puts the copies before the operation
// on its tape: a copy of the result then seems to come from nowhere, and what passes through it is lost without a word.
// Here copies of results follow the operation, and copies of what lies inside of it are refused where they matter.
import * as tf from '#tfjs';
import { callSite, lineOf, StepError } from './contract.js';

export interface TapeNode {
  kernelName: string;
  inputs: tf.NamedTensorMap;
  outputs: tf.Tensor[];
  gradient?: (dys: tf.Tensor[]) => Record<string, () => tf.Tensor>;
}

/** The part of TensorFlow.js's engine that records what has to be differentiated. */
export interface Recorder {
  addTapeNode(
    kernelName: string,
    inputs: tf.NamedTensorMap,
    outputs: tf.Tensor[],
    gradient: unknown,
    saved: tf.Tensor[],
    ...rest: unknown[]
  ): void;
  runKernelFunc(operation: object): unknown;
  isTapeOn(): boolean;
  nextTensorId(): number;
  state: { activeTape: TapeNode[] };
}

export const recorder = () => tf.engine() as unknown as Recorder;

/** True while a gradient is computed that is differentiated itself: it has to consist of operations with gradients. */
export const nested = () => recorder().isTapeOn();

/** Backpropagation through a tensor that was computed inside `kernel` and kept for its gradient. */
function refuseIntermediate(kernel: string): TapeNode['gradient'] {
  const site = callSite();
  return () => {
    throw new StepError(
      `the gradient of the gradient of ${kernel} is not known, because its gradient uses a tensor from within it: save inputs and results only, or hold the inner gradient fixed with stopGradient`,
      kernel,
      lineOf(site),
    );
  };
}

function keepOrder(): void {
  const tape = recorder();
  const { addTapeNode, runKernelFunc } = tape;
  /** Tensors from this one on were made by the operation that runs. */
  let first = Number.POSITIVE_INFINITY;

  tape.runKernelFunc = function (operation) {
    const outer = first;
    first = this.nextTensorId();
    try {
      return runKernelFunc.call(this, operation);
    } finally {
      first = outer;
    }
  };

  tape.addTapeNode = function (kernelName, inputs, outputs, gradient, saved, ...rest) {
    addTapeNode.call(this, kernelName, inputs, outputs, gradient, saved, ...rest);
    if (saved.length === 0) return;
    const { activeTape } = this.state;
    const node = activeTape.pop()!;
    const copies = new Set(saved.map((tensor) => tensor.id));
    const results = new Set(outputs.map((tensor) => tensor.id));
    const given = new Set(Object.values(inputs).map((tensor) => tensor?.id));
    const after: TapeNode[] = [];
    // The copies are the last things on the tape, or nearly: an operation puts nothing else there while it runs.
    for (let i = activeTape.length - 1, found = 0; i >= 0 && found < copies.size; i--) {
      const copy = activeTape[i];
      if (!copies.has(copy.outputs[0]?.id)) continue;
      found++;
      const { id, dtype } = copy.inputs.x;
      if (dtype !== 'float32') continue; // whole numbers carry no gradient
      if (results.has(id)) after.unshift(...activeTape.splice(i, 1));
      else if (id >= first && !given.has(id)) {
        copy.inputs = inputs;
        copy.gradient = refuseIntermediate(kernelName || 'a tf.customGrad');
      }
    }
    activeTape.push(node, ...after);
  };
}

keepOrder();
