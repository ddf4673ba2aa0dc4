// In which order the axes of weights are, [out, in, h, w] of PyTorch, [h, w, in, out] of TensorFlow and Flax or
// [out, h, w, in] of MLX: what the file says, the names, and whether shapes are those of convolutions.
import { type AxisOrder, biasLength, type TensorsByName, type Weight } from './state-dict-tensors.js';

/** Axes [out, in, h, w] in each order. */
export const AXES: Record<AxisOrder, readonly [number, number, number, number]> = {
  oihw: [0, 1, 2, 3],
  hwio: [3, 2, 0, 1],
  ohwi: [0, 3, 1, 2],
};
const ORDERS: readonly AxisOrder[] = ['oihw', 'hwio', 'ohwi'];
const WORDS: Record<AxisOrder, string> = {
  oihw: '[out, in, h, w] as PyTorch has them',
  hwio: '[h, w, in, out] as TensorFlow and Flax have them',
  ohwi: '[out, h, w, in] as MLX has them',
};

const KERNEL = /^(depthwise_|pointwise_)?kernel(:\d+)?$/;
/** Most channels of an image. */
export const IMAGE_CHANNELS = 4;
const USUAL_SIDE = 11;
export const LARGEST_SIDE = 32;

/** [out, in, h, w] of weights whose axes are in an order. */
export const sidesIn = (
  order: AxisOrder,
  { shape }: Pick<Weight, 'shape'>,
): [number, number, number, number] => {
  const [out, inputs, h, w] = AXES[order];
  return [shape[out], shape[inputs], shape[h], shape[w]];
};

export interface Orders {
  orderOf(weight: Weight): AxisOrder;
  notes: string[];
}

/**
 * One order for all weights that are called `kernel`, and one for all others. Shapes count for an order where kernels
 * are square, have usual sides, give as many outputs as the bias has values, take as many inputs as another layer gives
 * outputs, and give a multiple of eight.
 *
 * @param stated what the file says: believed unless shapes speak clearly against it
 * @param certain whether it is the format that says it, not a label in the file
 */
export function ordersOf(
  weights: readonly Weight[],
  byName: TensorsByName,
  stated?: AxisOrder,
  certain = false,
): Orders {
  const kernels = weights.filter(({ role }) => KERNEL.test(role));
  const others = weights.filter(({ role }) => !KERNEL.test(role));
  const named = others.some(({ role }) => /^weights?(:\d+)?$/i.test(role));
  const orders = {
    kernels: orderOf(kernels, byName, stated ?? 'hwio', trustIn(stated, certain, true, kernels.length)),
    others: orderOf(others, byName, stated ?? 'oihw', trustIn(stated, certain, named, others.length)),
  };
  const notes = [
    ...noteOf(kernels, orders.kernels, stated, 'hwio'),
    ...noteOf(others, orders.others, stated, named ? 'oihw' : undefined),
  ];
  return {
    orderOf: ({ role }) => (KERNEL.test(role) ? orders.kernels : orders.others),
    notes: [...new Set(notes)],
  };
}

/** How much {@link fitOf} all weights together have to speak for another order than the usual one. */
function trustIn(stated: AxisOrder | undefined, certain: boolean, named: boolean, count: number): number {
  if (stated) return certain ? 8 + 3 * count : 4 + 2 * count;
  return named ? 4 + count / 2 : 1;
}

function orderOf(
  weights: readonly Weight[],
  byName: TensorsByName,
  usual: AxisOrder,
  trust: number,
): AxisOrder {
  const total = (order: AxisOrder) => {
    const outputs = new Map<number, number>();
    for (const weight of weights) {
      const [out] = sidesIn(order, weight);
      outputs.set(out, (outputs.get(out) ?? 0) + 1);
    }
    const fits = weights.map((weight) =>
      fitOf(sidesIn(order, weight), biasLength(weight.layer, byName), outputs),
    );
    return fits.reduce((sum, fit) => sum + fit, 0) + (order === usual ? trust : 0);
  };
  const totals = new Map(ORDERS.map((order) => [order, total(order)]));
  return ORDERS.reduce((best, order) => (totals.get(order)! > totals.get(best)! ? order : best), usual);
}

/** How well a shape is that of a convolution; differences of less than 1 say nothing. */
function fitOf(
  [out, inputs, h, w]: readonly number[],
  bias: number | undefined,
  outputs: ReadonlyMap<number, number>,
): number {
  const [smaller, larger] = [Math.min(h, w), Math.max(h, w)];
  const sides = h === w ? (h === 1 ? 1 : 2) : smaller === 1 ? 0 : larger > 2 * smaller ? -4 : -2;
  const size = larger > LARGEST_SIDE ? -4 : larger > USUAL_SIDE ? -2 : 0;
  // a transposed convolution has its outputs where others have inputs
  const biased = bias === undefined ? 0 : bias === out ? 2 : bias % inputs === 0 ? 0 : -3;
  const linked = inputs <= IMAGE_CHANNELS || (outputs.get(inputs) ?? 0) > (inputs === out ? 1 : 0) ? 1 : 0;
  // sides of 16, 24, 32, … are rather numbers of channels
  const round = (out % 8 === 0 ? 1 : 0) - [h, w].filter((side) => side >= 16 && side % 8 === 0).length;
  return sides + size + biased + linked + round;
}

function noteOf(
  weights: readonly Weight[],
  order: AxisOrder,
  stated: AxisOrder | undefined,
  usual: AxisOrder | undefined,
): string[] {
  if (weights.length === 0 || order === (stated ?? usual)) return [];
  const taken = `weights are taken for ${WORDS[order]}`;
  if (stated) return [`${taken}: the file says ${WORDS[stated]}, which its shapes contradict`];
  return [`${taken}: told from their shapes, because the file does not say it`];
}
