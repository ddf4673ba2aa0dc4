// Named tensors of a file, and the questions that all rules about them ask.

export interface NamedTensor {
  /** Path of the weight, with `.` or `/` between the parts: untrusted. */
  name: string;
  shape: readonly number[];
  /** Equal for tensors that are the same numbers in the file. */
  identity?: string;
  dtype: string;
  /** Row-major values in `shape`, or why they cannot be had as float32. */
  values: (() => Float32Array) | string;
  /** Values of a tensor of small integers or booleans, which is no weight but may be a mask. */
  integers?: () => Float32Array;
}

export type TensorsByName = ReadonlyMap<string, NamedTensor>;

/**
 * Order of the axes of a convolution's weights: `oihw` of PyTorch and Chainer, `hwio` of Flax and TensorFlow,
 * `ohwi` of MLX.
 */
export type AxisOrder = 'oihw' | 'hwio' | 'ohwi';

/** A 4-D tensor, stored or computed of several, that may be a convolution's weights. */
export interface Weight {
  /** The tensor's name in the file; of a computed one, that of its part with all axes. */
  tensor: string;
  /** The name without its last part. */
  layer: string;
  /** The last part: `weight`, `depthwise_kernel`. */
  role: string;
  shape: readonly [number, number, number, number];
  dtype: string;
  read(): Float32Array;
}

export const partsOf = (name: string): string[] => name.split(/[./]/);

/** Name of the layer and of its parameter: `features.0.weight` → `features.0`, `weight`. */
export function splitName(name: string): { layer: string; role: string } {
  const cut = Math.max(name.lastIndexOf('.'), name.lastIndexOf('/'));
  return { layer: name.slice(0, Math.max(cut, 0)), role: name.slice(cut + 1) };
}

const BIASES = [
  'bias',
  'bias:0',
  'b',
  'mu_bias',
  'bias_mu',
  'bias_mean',
  'bias_loc',
  'b_mu',
  'qb_mean',
  'bias_posterior_loc',
];

/** Length of the bias beside a weight; of a list `weights.0` that in `biases.0`. */
export function biasLength(layer: string, byName: TensorsByName): number | undefined {
  const names = BIASES.flatMap((role) => [`${layer}.${role}`, `${layer}/${role}`]);
  const listed = layer.replace(/(^|[./_])(weights?|kernels?)(?=[./][^./]+$)/, '$1bias');
  if (listed !== layer) names.push(listed, listed.replace(/bias([./][^./]+)$/, 'biases$1'));
  for (const name of names) {
    const bias = byName.get(name);
    if (bias?.shape.length === 1) return bias.shape[0];
  }
  return undefined;
}
