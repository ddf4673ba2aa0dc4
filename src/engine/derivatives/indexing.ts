// Gradients of operators that look elements up, put them somewhere or repeat them.
import * as tf from '#tfjs';
import { mirrored, type StridedSliceAttributes, stridedRanges } from '../ops/shape.js';
import { sizeOf } from '../tree.js';
import { type Attributes, axesOf, gradient, type Pair, run, tracing } from './shared.js';

const numbers = (length: number, step: number) =>
  tf.tensor1d(
    Int32Array.from({ length }, (_, i) => i * step),
    'int32',
  );

/** Sums of dy at the places where x[.., indices, ..] was taken: TensorFlow.js has it for one batch axis at most. */
function gatherGradient(dy: tf.Tensor, shape: number[], indices: tf.Tensor, attrs: Attributes): tf.Tensor {
  const [axis] = axesOf(attrs.axis, shape.length);
  const batchDims = (attrs.batchDims as number | undefined) ?? 0;
  if (tracing()) return run('GatherV2Grad', { dy, indices }, { shape, axis, batchDims });
  const batch = sizeOf(shape.slice(0, batchDims));
  const outer = sizeOf(shape.slice(batchDims, axis));
  const [length, inner] = [shape[axis], sizeOf(shape.slice(axis + 1))];
  const k = indices.size / batch;
  // Row numbers of x seen as a matrix [batch · outer · length, inner].
  const start = tf.reshape(numbers(batch * outer, length), [batch, outer, 1]);
  const rows = tf.reshape(tf.add(tf.reshape(indices, [batch, 1, k]), start), [-1]);
  const sums = tf.unsortedSegmentSum(
    tf.reshape(dy, [batch * outer * k, inner]),
    rows as tf.Tensor1D,
    batch * outer * length,
  );
  return tf.reshape(sums, shape);
}

/** Σ over the repetitions. */
function tileGradient(dy: tf.Tensor, shape: number[], reps: number[]): tf.Tensor {
  const apart = tf.reshape(
    dy,
    shape.flatMap((n, i) => [reps[i], n]),
  );
  return tf.sum(
    apart,
    shape.map((_, i) => 2 * i),
  );
}

/** Along each axis, what was mirrored goes back to where it was taken. */
function mirrorPadGradient(dy: tf.Tensor, shape: number[], attrs: Attributes): tf.Tensor {
  const paddings = attrs.paddings as unknown as Pair[];
  return shape.reduce((y: tf.Tensor, n, axis) => {
    const places = mirrored(n, paddings[axis], attrs.mode as 'reflect' | 'symmetric');
    if (places.length === n) return y;
    const before = y.shape.map((size, i) => (i === axis ? n : size));
    return gatherGradient(y, before, tf.tensor1d(places, 'int32'), { axis });
  }, dy);
}

/** Zeros between the elements that were taken and around them. */
function stridedSliceGradient(dy: tf.Tensor, shape: number[], attrs: Attributes): tf.Tensor {
  const options = attrs as unknown as StridedSliceAttributes;
  const { begin, size: counts, strides } = stridedRanges(shape, options);
  return shape.reduce(
    (y: tf.Tensor, n, axis) => {
      const [count, stride] = [counts[axis], strides[axis]];
      const step = Math.abs(stride);
      const reach = (count - 1) * step + 1;
      const first = stride > 0 ? begin[axis] : begin[axis] - reach + 1;
      const ordered = stride > 0 ? y : tf.reverse(y, axis);
      const around = (sides: Pair) => y.shape.map((_, i): Pair => (i === axis ? sides : [0, 0]));
      if (step === 1) return tf.pad(ordered, around([first, n - first - reach]));
      const cells = tf.reshape(ordered, [...y.shape.slice(0, axis), count, 1, ...y.shape.slice(axis + 1)]);
      const spread = tf.pad(
        cells,
        cells.shape.map((_, i): Pair => (i === axis + 1 ? [0, step - 1] : [0, 0])),
      );
      const size = y.shape.map((s, i) => (i === axis ? count * step : s));
      const cut = tf.slice(
        tf.reshape(spread, size),
        size.map(() => 0),
        size.map((s, i) => (i === axis ? reach : s)),
      );
      return tf.pad(cut, around([first, n - first - reach]));
    },
    tf.reshape(dy, counts),
  );
}

/**
 * Of products Pⱼ = Π_{k ≤ j} xₖ: ∂/∂xᵢ = Π_{k < i} xₖ · Sᵢ with Sᵢ = dyᵢ + xᵢ₊₁ Sᵢ₊₁, by doubling. Nothing is divided by
 * x, which may be 0.
 */
function cumulativeProductGradient(dy: tf.Tensor, x: tf.Tensor, attrs: Attributes): tf.Tensor {
  const [axis] = axesOf(attrs.axis, x.rank);
  const { exclusive, reverse } = attrs as { exclusive?: boolean; reverse?: boolean };
  const length = x.shape[axis];
  /** v[i + by], or v[i − by] in reverse; `outside` where there is none. */
  const ahead = (v: tf.Tensor, by: number, outside: number): tf.Tensor => {
    if (by >= length) return tf.fill(v.shape, outside);
    const begin = v.shape.map((_, i) => (i === axis && !reverse ? by : 0));
    const size = v.shape.map((n, i) => (i === axis ? n - by : n));
    const sides = v.shape.map((_, i): Pair => (i !== axis ? [0, 0] : reverse ? [by, 0] : [0, by]));
    return tf.pad(tf.slice(v, begin, size), sides, outside);
  };
  let sums = exclusive ? ahead(dy, 1, 0) : dy;
  let factors = ahead(x, 1, 0);
  for (let by = 1; by < length; by *= 2) {
    sums = tf.add(sums, tf.mul(factors, ahead(sums, by, 0)));
    factors = tf.mul(factors, ahead(factors, by, 0));
  }
  return tf.mul(tf.cumprod(x, axis, true, reverse), sums);
}

/** Every element's is the product of those before and those behind it, along the axes taken together. */
function productGradient(dy: tf.Tensor, x: tf.Tensor, attrs: Attributes): tf.Tensor {
  const axes = axesOf(attrs.axis, x.rank);
  const kept = x.shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
  const order = [...kept, ...axes];
  const turned = tf.transpose(x, order);
  const flat = tf.reshape(turned, [sizeOf(kept.map((i) => x.shape[i])), -1]);
  const others = tf.mul(tf.cumprod(flat, 1, true), tf.cumprod(flat, 1, true, true));
  const result = tf.mul(tf.reshape(dy, [-1, 1]), others);
  const back = order.map((_, i) => order.indexOf(i));
  return tf.transpose(tf.reshape(result, turned.shape), back);
}

/** Each value goes back to the place that it was taken from. */
function topKGradient(dy: tf.Tensor, x: tf.Tensor, indices: tf.Tensor): tf.Tensor {
  const length = x.shape[x.rank - 1];
  const rows = x.size / length;
  const start = tf.reshape(numbers(rows, length), [rows, 1]);
  const places = tf.add(tf.reshape(indices, [rows, -1]), start);
  const flat = gatherGradient(tf.reshape(dy, [-1]), [x.size], tf.reshape(places, [-1]), { axis: 0 });
  return tf.reshape(flat, x.shape);
}

/** A product over all indices, summed over those that the result lacks. */
function sumOfProducts(names: string[], operands: tf.Tensor[], result: string): tf.Tensor {
  const summed = [...new Set(names.join(''))].filter((index) => !result.includes(index));
  const all = [...result, ...summed];
  const aligned = operands.map((x, i) => {
    const order = all.filter((index) => names[i].includes(index));
    const turned = tf.transpose(
      x,
      order.map((index) => names[i].indexOf(index)),
    );
    const sizes = new Map(order.map((index, k) => [index, turned.shape[k]]));
    return tf.reshape(
      turned,
      all.map((index) => sizes.get(index) ?? 1),
    );
  });
  const product = aligned.reduce((a, b) => tf.mul(a, b));
  return summed.length > 0
    ? tf.sum(
        product,
        summed.map((_, k) => result.length + k),
      )
    : product;
}

/** ∂/∂ operand i: the same sum with the result's gradient in the operand's place. */
function einsumGradient(dy: tf.Tensor, operands: tf.Tensor[], i: number, attrs: Attributes): tf.Tensor {
  const [inputs, result] = (attrs.equation as string).replaceAll(' ', '').split('->');
  const names = inputs.split(',');
  const others = names.filter((_, k) => k !== i);
  // An index of this operand alone was summed over: every element has the same gradient along it.
  const known = [...names[i]].filter((index) => result.includes(index) || others.join('').includes(index));
  const factors = [dy, ...operands.filter((_, k) => k !== i)];
  const factorNames = [result, ...others];
  // The kernel of `cpu` fails for some orders of indices.
  const part = tracing()
    ? tf.einsum(`${factorNames.join(',')}->${known.join('')}`, ...factors)
    : sumOfProducts(factorNames, factors, known.join(''));
  const shape = operands[i].shape;
  const kept = shape.map((n, k) => (known.includes(names[i][k]) ? n : 1));
  return tf.broadcastTo(tf.reshape(part, kept), shape);
}

export const indexingGradients: tf.GradConfig[] = [
  gradient('GatherV2', ['x', 'indices'], (dy, [x, indices], attrs) => ({
    x: () => gatherGradient(dy, x.shape, indices, attrs),
    indices: () => tf.zeros(indices.shape),
  })),
  gradient('GatherV2Grad', ['indices'], (ddx, [indices], attrs) => ({
    dy: () => run('GatherV2', { x: ddx, indices }, attrs),
    indices: () => tf.zeros(indices.shape),
  })),
  gradient('GatherNd', ['params', 'indices'], (dy, [params, indices]) => ({
    params: () => tf.scatterND(indices, dy, params.shape),
    indices: () => tf.zeros(indices.shape),
  })),
  gradient('ScatterNd', ['indices'], (dy, [indices]) => ({
    updates: () => tf.gatherND(dy, indices),
    indices: () => tf.zeros(indices.shape),
  })),
  gradient('TensorScatterUpdate', ['indices', 'updates'], (dy, [indices, updates]) => ({
    // Not an update of dy: the kernel of `cpu` writes into the tensor that it is given.
    tensor: () => tf.mul(dy, tf.tensorScatterUpdate(tf.ones(dy.shape), indices, tf.zerosLike(updates))),
    updates: () => tf.gatherND(dy, indices),
    indices: () => tf.zeros(indices.shape),
  })),
  gradient('Tile', ['x'], (dy, [x], attrs) => ({
    x: () => tileGradient(dy, x.shape, attrs.reps as number[]),
  })),
  gradient('MirrorPad', ['x'], (dy, [x], attrs) => ({ x: () => mirrorPadGradient(dy, x.shape, attrs) })),
  gradient('StridedSlice', ['x'], (dy, [x], attrs) => ({
    x: () => stridedSliceGradient(dy, x.shape, attrs),
  })),
  gradient('Cumsum', [], (dy, _, { axis, exclusive, reverse }) => ({
    x: () => tf.cumsum(dy, axis as number, exclusive as boolean, !reverse),
  })),
  gradient('Prod', ['x'], (dy, [x], attrs) => ({ x: () => productGradient(dy, x, attrs) })),
  gradient('Cumprod', ['x'], (dy, [x], attrs) => ({ x: () => cumulativeProductGradient(dy, x, attrs) })),
  gradient('Diag', ['x'], (dy, [x]) => ({
    x: () => {
      const places = tf.reshape(numbers(x.size, x.size + 1), [x.size, 1]);
      return tf.reshape(tf.gatherND(tf.reshape(dy, [-1]), places), x.shape);
    },
  })),
  {
    kernelName: 'TopK',
    inputsToSave: ['x'],
    outputsToSave: [false, true],
    gradFunc: (dy, [x, indices]) => ({ x: () => topKGradient((dy as tf.Tensor[])[0], x, indices) }),
  },
  {
    kernelName: 'Einsum',
    saveAllInputs: true,
    gradFunc: (dy, operands, attrs) =>
      Object.fromEntries(
        operands.map((_, i) => [String(i), () => einsumGradient(dy as tf.Tensor, operands, i, attrs)]),
      ),
  },
];
