// What every importer returns: the weights of 2-D convolutions in one layout, and what was left out and why.

/** `transposed` covers every transposed (fractionally strided) convolution, depthwise or not. */
export type LayerKind = 'conv' | 'depthwise' | 'transposed';

export interface ConvLayer {
  name: string;
  kind: LayerKind;
  /** [out, in, h, w]; `in` counts the inputs of one group. A depthwise layer is [channels · multiplier, 1, h, w]. */
  shape: [number, number, number, number];
  /** How the numbers are stored in the file: `float32`, `float16`, `int8`, … */
  dtype: string;
  /**
   * The weights, row-major in `shape`: slice (o, i) is at `(o · in + i) · h · w`. Only this call reads them, so that
   * one tensor at a time is in memory; the array is the caller's to read, not to change. While the model is open.
   *
   * @throws DwpError INPUT when the stored values are damaged
   */
  read(): Float32Array | Promise<Float32Array>;
}

export interface ModelLayers {
  layers: ConvLayer[];
  /** Layers that are convolutions or look like one, but are not in `layers`. */
  skipped: { layer: string; reason: string }[];
  /** What wrote the file, when it says so. */
  producer?: string;
  /** The licence the file itself states, when it does. */
  licence?: string;
}

/**
 * Swaps axes of a row-major array.
 *
 * @param shape the array's own shape
 * @param order the result's axis `a` is the array's axis `order[a]`
 * @returns a new array of shape `order.map((axis) => shape[axis])`
 */
export function permuteAxes(
  data: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const outShape = order.map((axis) => shape[axis]);
  const outStrides = order.map((axis) => strides[axis]);
  const out = new Float32Array(data.length);
  const index = new Array<number>(order.length).fill(0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = data[from];
    for (let axis = order.length - 1; axis >= 0; axis--) {
      from += outStrides[axis];
      if (++index[axis] < outShape[axis]) break;
      from -= outStrides[axis] * outShape[axis];
      index[axis] = 0;
    }
  }
  return out;
}
