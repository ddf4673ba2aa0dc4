// What is said of a file without a 2-D convolution: which tensors it holds, and what its owner can do.
import type { ModelLayers } from './layers.js';
import { seenTensors } from './seen-tensors.js';
import { ADAPTER_FACTOR, isOptimisers } from './state-dict-names.js';
import type { NamedTensor } from './state-dict-tensors.js';

export const MASKS = 'every value is 0 or 1: a mask, not weights';

/** Adds the advice to a result without layers. */
export function explainNothing(result: ModelLayers, tensors: readonly NamedTensor[]): void {
  const reasons = result.skipped.map(({ reason }) => reason);
  result.advice = `${seenTensors(tensors)}; ${adviceFor(reasons, tensors)}`;
}

function adviceFor(reasons: readonly string[], tensors: readonly NamedTensor[]): string {
  const some = (pattern: RegExp) => reasons.some((reason) => pattern.test(reason));
  if (tensors.length === 0)
    return 'give the file with the weights: torch.save(model.state_dict(), path), or safetensors';
  if (tensors.every(({ name }) => isOptimisers(name)))
    return 'this is the state of an optimiser: give the file with the weights';
  if (reasons.includes(ADAPTER_FACTOR))
    return 'merge the adapter into its base model and save that (PEFT: model.merge_and_unload()), or give the base model';
  if (reasons.includes(MASKS)) return 'give the weights that the masks belong to';
  if (some(/quantised|not float|float8/))
    return 'save the model in float16 or float32, before it is quantised';
  if (some(/parametrisation/))
    return "remove it before saving: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')";
  if (some(/code that is not in the file/)) return 'save the model after removing what computes its weights';
  if (some(/which no known convolution has|which no convolution has|no convolution's weights/))
    return 'if some of these tensors are convolutions, save them under names that end in "weight", as [out, in, h, w]';
  return 'kernels are read from tensors of four axes, the weights of 2-D convolutions: this file has none';
}
