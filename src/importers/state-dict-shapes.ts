// Weights of four axes that no convolution has, such as those of capsules: told from their shapes beside the others.
import { IMAGE_CHANNELS, LARGEST_SIDE, type Orders, sidesIn } from './state-dict-axes.js';
import { biasLength, partsOf, type TensorsByName, type Weight } from './state-dict-tensors.js';

const CAPSULES = /caps(ules?|net)?(_?\d+)?$|^caps|capsule|routing|^route_/i;

/**
 * Says of each weight why it is none of a convolution; undefined where it may be one. A bias as long as the outputs
 * or a name with `conv` is enough for one. Else kernels of 16x8, or of 8x8 over inputs that no layer gives, are none;
 * nothing is said against the only weight of a file.
 */
export function shapeJudge(
  weights: readonly Weight[],
  orders: Orders,
  byName: TensorsByName,
): (weight: Weight) => string | undefined {
  const outputs = new Map<number, number>();
  const sizes = new Map<string, number>();
  const add = <K>(counts: Map<K, number>, key: K) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const weight of weights) {
    const [out, , h, w] = sidesIn(orders.orderOf(weight), weight);
    add(outputs, out);
    add(sizes, `${h}x${w}`);
  }
  return (weight) => {
    const [out, inputs, h, w] = sidesIn(orders.orderOf(weight), weight);
    if (weight.layer === weight.tensor && Math.max(h, w) > LARGEST_SIDE)
      return `its weights [${weight.shape}] are no kernels (sides of ${h}x${w})`;
    const bias = biasLength(weight.layer, byName);
    if (bias !== undefined && (bias === out || bias % inputs === 0)) return undefined;
    const parts = partsOf(weight.tensor);
    const capsules = parts.some((part) => CAPSULES.test(part));
    if (partsOf(weight.layer).some((part) => /conv/i.test(part)) || (weights.length === 1 && !capsules))
      return undefined;
    const given = inputs <= IMAGE_CHANNELS || (outputs.get(inputs) ?? 0) > (inputs === out ? 1 : 0);
    const odd = h % 2 === 1 || w % 2 === 1;
    const usual = h === w ? odd || h <= 4 : Math.min(h, w) === 1;
    if (usual && (given || !capsules)) return undefined;
    if (!capsules && (sizes.get(`${h}x${w}`)! > 1 || (given && (h === w || odd)))) return undefined;
    const what = capsules ? 'weights of a capsule layer' : 'weights';
    return `${what} [${weight.shape}], which no convolution has (kernels of ${h}x${w} over ${inputs} inputs, no bias of ${out})`;
  };
}
