// What is said of a file without a 2-D convolution: which tensors it holds, and what its owner can do.
import { shown } from '../formats/source.js';
import type { ModelLayers } from './layers.js';
import { ADAPTER_FACTOR, isOptimisers } from './state-dict-names.js';
import type { NamedTensor } from './state-dict-tensors.js';

export const MASKS = 'every value is 0 or 1: a mask, not weights';

const MOST_AXES = 6;

/** Adds the note and the advice to a result without layers. */
export function explainNothing(result: ModelLayers, tensors: readonly NamedTensor[]): void {
  const axes = new Map<number, NamedTensor[]>();
  for (const tensor of tensors) {
    const length = Math.min(tensor.shape.length, MOST_AXES);
    axes.set(length, [...(axes.get(length) ?? []), tensor]);
  }
  const counts = [...axes]
    .sort(([a], [b]) => b - a)
    .map(([n, { length, 0: first }]) => {
      const words =
        n === 0 ? 'no axes' : n === 1 ? 'one axis' : `${n}${n === MOST_AXES ? ' or more' : ''} axes`;
      return `${length} with ${words} (${shown(first.name)} [${first.shape}])`;
    });
  const seen =
    tensors.length === 0
      ? 'the file holds no tensors'
      : `the file holds ${tensors.length} tensor${tensors.length === 1 ? '' : 's'}: ${counts.join(', ')}`;
  result.notes = [...(result.notes ?? []), seen];
  result.advice = adviceFor(
    result.skipped.map(({ reason }) => reason),
    tensors,
  );
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
