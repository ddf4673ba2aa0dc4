// Weights that a file keeps in parts, multiplied out: weight normalisation, spectral normalisation and pruning of
// PyTorch, in the older style (`weight_g`, `weight_orig`) and the newer one (`parametrizations.weight.original`).
import { sizeOf } from '../formats/shape.js';
import { type NamedTensor, splitName, type TensorsByName } from './state-dict-tensors.js';

type Parts = Pick<NamedTensor, 'shape' | 'dtype' | 'values'>;

/** A parameter that is computed, under the name of its part that has all axes. */
export interface ComputedWeight extends Parts {
  layer: string;
  role: string;
}

export interface ComputedWeights {
  /** By the name of the part that has all axes. */
  weights: ReadonlyMap<string, ComputedWeight>;
  /** Names of all other parts. */
  parts: ReadonlySet<string>;
}

/** Wrappers may be stacked, a pruned direction of a weight normalisation for instance. */
const DEEPEST = 4;
const MOST_STEPS = 16;
const WEIGHT = /^(weights?|kernels?|w)$/i;

/** Every parameter that is computed of tensors in the file; a reason stands for values that cannot be had. */
export function computedWeights(byName: TensorsByName): ComputedWeights {
  const weights = new Map<string, ComputedWeight>();
  const parts = new Set<string>();
  const done = new Set<string>();
  for (const name of byName.keys()) {
    const parametrized = /^(.*?)[./]?parametrizations[./]([^./]+)[./]original[01]?$/.exec(name);
    const parameter = parametrized ? name.replace(/[./]original[01]?$/, '') : rootOf(name, byName);
    if (parameter === undefined || done.has(parameter)) continue;
    done.add(parameter);
    const used: string[] = [];
    const made = parametrized
      ? fromParametrization(parameter, byName, used)
      : fromParts(parameter, byName, used);
    const [base] = used;
    if (!made || base === undefined) continue;
    const { layer, role } = parametrized
      ? { layer: parametrized[1], role: parametrized[2] }
      : splitName(parameter);
    weights.set(base, { ...made, layer: layer || role, role });
    for (const part of used) if (part !== base) parts.add(part);
  }
  return { weights, parts };
}

/** `a.weight_orig`, `a.weight_v_orig`, … → `a.weight`; undefined for what is no part of a weight. */
function rootOf(name: string, byName: TensorsByName): string | undefined {
  const root = name.replace(/(_(orig|bar|v|mask))+$/, '');
  if (root === name) return undefined;
  if (
    /_v$/.test(name.replace(/(_(orig|bar|mask))+$/, '')) &&
    !byName.has(`${root}_g`) &&
    !byName.has(`${root}_g_orig`)
  )
    return undefined;
  return WEIGHT.test(splitName(root).role) ? root : undefined;
}

/**
 * The older style: hooks that compute `weight` of `weight_g` and `weight_v`, of `weight_orig` and `weight_mask`, or of
 * `weight_orig`, `weight_u` and `weight_v`.
 *
 * @param used gets the names of the parts, that with all axes first
 */
function fromParts(parameter: string, byName: TensorsByName, used: string[], depth = 0): Parts | undefined {
  if (depth > DEEPEST) return undefined;
  const find = (suffix: string) => fromParts(parameter + suffix, byName, used, depth + 1);
  const take = (suffix: string) => {
    const found = byName.get(parameter + suffix);
    if (found) used.push(found.name);
    return found;
  };
  const plain = take('');
  const base = plain ?? find('_orig') ?? find('_bar');
  if (!base) {
    const direction = find('_v');
    const magnitude = direction && find('_g');
    return magnitude && weightNormalised(direction, magnitude);
  }
  const mask = take('_mask');
  const masked = mask ? pruned(base, mask) : base;
  if (plain) return masked;
  const left = take('_u');
  if (left) return spectrallyNormalised(masked, left, take('_v'));
  if (mask) return masked;
  return { ...base, values: 'its weights are computed by code that is not in the file' };
}

/** The newer style: `original`, and by its index what each parametrisation keeps. */
function fromParametrization(path: string, byName: TensorsByName, used: string[]): Parts | undefined {
  const take = (part: string) => {
    const found = byName.get(`${path}.${part}`);
    if (found) used.push(found.name);
    return found;
  };
  const direction = take('original1');
  const magnitude = take('original0');
  const original = take('original');
  let made: Parts | undefined = direction && magnitude ? weightNormalised(direction, magnitude) : original;
  if (!made) return undefined;
  let steps = direction ? 1 : 0;
  for (let i = 0; i < MOST_STEPS; i++) {
    const mask = take(`${i}.mask`);
    const left = take(`${i}._u`);
    if (mask) made = pruned(made, mask);
    if (left) made = spectrallyNormalised(made, left, take(`${i}._v`));
    if (mask || left) steps++;
  }
  if (steps > 0) return made;
  return { ...made, values: 'its weights are made by a parametrisation whose code is not in the file' };
}

/** Where a step's values cannot be had, neither can those of the result. */
function combined(
  base: Parts,
  others: readonly (NamedTensor | Parts)[],
  make: (data: Float32Array, others: Float32Array[]) => void,
): Parts {
  const { values } = base;
  if (typeof values === 'string') return base;
  const readers: (() => Float32Array)[] = [];
  for (const other of others) {
    const read = 'integers' in other && other.integers ? other.integers : other.values;
    if (typeof read === 'string') return { ...base, values: read };
    readers.push(read);
  }
  return {
    ...base,
    values: () => {
      const data = Float32Array.from(values());
      make(
        data,
        readers.map((read) => read()),
      );
      return data;
    },
  };
}

const refused = (base: Parts, reason: string): Parts => ({ ...base, values: reason });

/** weight ⊙ mask */
function pruned(base: Parts, mask: NamedTensor): Parts {
  if (mask.shape.join() !== base.shape.join())
    return refused(base, `a pruning mask [${mask.shape}] for weights [${base.shape}]`);
  return combined(base, [mask], (data, [kept]) => {
    for (let i = 0; i < data.length; i++) data[i] *= kept[i];
  });
}

/**
 * weight = g · v / ‖v‖. The norm is over the axes along which g has one value: one for every output, for every index
 * of another axis, or one for all.
 */
function weightNormalised(direction: Parts, magnitude: Parts): Parts {
  const { shape } = direction;
  const gShape = alongAxes(magnitude.shape, shape);
  if (!gShape)
    return refused(
      direction,
      `weight normalisation with magnitudes [${magnitude.shape}] for weights [${shape}]`,
    );
  return combined(direction, [magnitude], (data, [g]) => {
    const squares = new Float64Array(g.length);
    const groups = groupsOf(shape, gShape);
    for (let i = 0; i < data.length; i++) squares[groups[i]] += data[i] ** 2;
    for (let i = 0; i < data.length; i++) data[i] *= g[groups[i]] / Math.sqrt(squares[groups[i]]);
  });
}

/** The shape of magnitudes with an axis for each of the weights', the others being 1; undefined where they do not fit. */
function alongAxes(given: readonly number[], shape: readonly number[]): number[] | undefined {
  if (sizeOf(given) === 1) return shape.map(() => 1);
  if (given.length === 1) {
    const axis = shape.indexOf(given[0]);
    return axis === -1 ? undefined : shape.map((n, i) => (i === axis ? n : 1));
  }
  if (given.length !== shape.length || given.some((n, axis) => n !== 1 && n !== shape[axis]))
    return undefined;
  return [...given];
}

/** For each value of an array of `shape`, the place in an array of `small` that is broadcast over it. */
function groupsOf(shape: readonly number[], small: readonly number[]): Uint32Array {
  const groups = new Uint32Array(sizeOf(shape));
  let inner = 1;
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (small[axis] > 1) {
      for (let i = 0; i < groups.length; i++) groups[i] += (Math.floor(i / inner) % shape[axis]) * step;
      step *= small[axis];
    }
    inner *= shape[axis];
  }
  return groups;
}

/**
 * weight = W / σ with σ = uᵀWv, where W is the matrix whose rows are the indices of one axis: the first, of a
 * transposed convolution the second. Files of the first versions have no v, which is then Wᵀu / ‖Wᵀu‖.
 */
function spectrallyNormalised(base: Parts, left: NamedTensor, right: NamedTensor | undefined): Parts {
  const { shape } = base;
  const fits = (axis: number) =>
    shape[axis] === sizeOf(left.shape) && (!right || sizeOf(right.shape) * shape[axis] === sizeOf(shape));
  const axes = [0, 1].filter((axis) => axis < shape.length && fits(axis));
  if (axes.length === 0 || shape.includes(0))
    return refused(base, `spectral normalisation with a vector [${left.shape}] for weights [${shape}]`);
  return combined(base, right ? [left, right] : [left], (data, [u, v]) => {
    const sigmas = axes.map((axis) => sigmaOf(data, shape, axis, u, v));
    // u and v are singular vectors of the right matrix only: uᵀWv of the other one is near zero
    const sigma = sigmas.length > 1 && Math.abs(sigmas[1]) > 2 * Math.abs(sigmas[0]) ? sigmas[1] : sigmas[0];
    for (let i = 0; i < data.length; i++) data[i] /= sigma;
  });
}

function sigmaOf(
  data: Float32Array,
  shape: readonly number[],
  axis: number,
  u: Float32Array,
  v: Float32Array | undefined,
): number {
  const inner = sizeOf(shape.slice(axis + 1));
  const columns = data.length / shape[axis];
  const transposed = new Float64Array(columns); // Wᵀu
  for (let i = 0; i < data.length; i++) {
    const row = Math.floor(i / inner) % shape[axis];
    const column = Math.floor(i / (inner * shape[axis])) * inner + (i % inner);
    transposed[column] += u[row] * data[i];
  }
  if (!v) return Math.sqrt(transposed.reduce((sum, x) => sum + x * x, 0));
  return transposed.reduce((sum, x, i) => sum + x * v[i], 0);
}
