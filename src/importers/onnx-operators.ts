// The ONNX operators that constants may be computed with, and how many values each makes at most: known before it
// runs, so that a small file cannot ask for gigabytes. None is random, none reads a file, none holds a graph.
import type { EngineArray } from '../engine/arrays.js';
import { sizeOf } from '../formats/shape.js';

export interface Arguments {
  inputs: readonly (EngineArray | undefined)[];
  int(attribute: string): number | undefined;
  ints(attribute: string): readonly number[] | undefined;
  text(attribute: string): string;
}

/** Values that are made or multiplied, over all outputs; NaN where that cannot be told. */
type Bound = (call: Arguments) => number;

const shapeOf = (array: EngineArray | undefined): readonly number[] => array?.shape ?? [Number.NaN];
const countOf = (array: EngineArray | undefined) => sizeOf(shapeOf(array));
/** Of an input that says a shape or counts. */
const numbersOf = (array: EngineArray | undefined): number[] =>
  array && array.data.length <= 64 ? Array.from<number | bigint, number>(array.data, Number) : [Number.NaN];

function broadcast(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, i) =>
    Math.max(1, ...shapes.map((shape) => shape[shape.length - 1 - i] ?? 1)),
  );
}

const first: Bound = ({ inputs }) => countOf(inputs[0]);
const all: Bound = ({ inputs }) => inputs.reduce((sum, array) => sum + (array ? countOf(array) : 0), 0);
const together: Bound = ({ inputs }) =>
  sizeOf(broadcast(inputs.flatMap((array) => (array ? [array.shape] : []))));

const matrices: Bound = ({ inputs: [a, b] }) => {
  const [left, right] = [shapeOf(a), shapeOf(b)];
  const inner = left.at(-1) ?? 1;
  return (
    sizeOf(broadcast([left.slice(0, -2), right.slice(0, -2)])) *
    (left.at(-2) ?? 1) *
    inner *
    (right.length > 1 ? right.at(-1)! : 1)
  );
};

const gemm: Bound = ({ inputs: [a, b], int }) => {
  const [rows, inner] = int('transA') ? [1, 0] : [0, 1];
  const columns = int('transB') ? 0 : 1;
  return sizeOf([shapeOf(a)[rows], shapeOf(a)[inner], shapeOf(b)[columns]]);
};

const gather: Bound = ({ inputs: [data, indices], int }) => {
  const shape = shapeOf(data);
  const axis = int('axis') ?? 0;
  return countOf(indices) * sizeOf(shape.filter((_, i) => i !== (axis < 0 ? axis + shape.length : axis)));
};

/** Every label's length once. */
const einsum: Bound = ({ inputs, text }) => {
  const terms = text('equation').replaceAll(' ', '').split('->')[0].split(',');
  if (terms.some((term) => !/^[a-zA-Z]*$/.test(term))) return Number.NaN;
  const lengths = new Map<string, number>();
  terms.forEach((term, i) => {
    for (const [axis, label] of [...term].entries())
      lengths.set(label, Math.max(lengths.get(label) ?? 1, inputs[i]?.shape[axis] ?? 1));
  });
  return sizeOf([...lengths.values()]);
};

const pad: Bound = ({ inputs, ints }) => {
  const shape = shapeOf(inputs[0]);
  const most = Math.max(0, ...(ints('pads') ?? numbersOf(inputs[1])));
  return sizeOf(shape.map((n) => n + 2 * most));
};

const range: Bound = ({ inputs }) => {
  const [start, limit, step] = inputs.map((array) => numbersOf(array)[0]);
  return Math.max(0, Math.ceil((limit - start) / step));
};

const gatherNd: Bound = ({ inputs: [data, indices] }) => {
  const places = shapeOf(indices);
  return sizeOf(places.slice(0, -1)) * sizeOf(shapeOf(data).slice(places.at(-1) ?? 0));
};

const named = (bound: Bound, names: string) => names.split(' ').map((name) => [name, bound] as const);

export const COMPUTED: ReadonlyMap<string, Bound> = new Map([
  ...named(
    together,
    'Add Sub Mul Div Pow Mod Min Max Mean Sum Where And Or Xor Not Equal Greater GreaterOrEqual Less LessOrEqual ' +
      'BitShift PRelu',
  ),
  ...named(
    first,
    'Abs Neg Sqrt Reciprocal Exp Log Sign Floor Ceil Round Erf Relu LeakyRelu Elu Selu Sigmoid HardSigmoid Tanh ' +
      'Softplus Softsign Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh IsNaN IsInf Clip Cast CastLike ' +
      'Identity Dropout Constant Transpose Reshape Squeeze Unsqueeze Flatten Slice Split Trilu CumSum Shrink ' +
      'ThresholdedRelu ReverseSequence Compress DepthToSpace SpaceToDepth Softmax LogSoftmax Hardmax ' +
      'LpNormalization BatchNormalization InstanceNormalization LayerNormalization GroupNormalization ' +
      'MeanVarianceNormalization ScatterElements ScatterND EyeLike QuantizeLinear DequantizeLinear ArgMax ArgMin ' +
      'ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ' +
      'ReduceLogSumExp Det',
  ),
  ...named(() => 64, 'Shape Size'),
  ...named(all, 'Concat'),
  ...named(matrices, 'MatMul'),
  ['Gemm', gemm],
  ['Einsum', einsum],
  ['Expand', ({ inputs: [data, shape] }) => sizeOf(broadcast([shapeOf(data), numbersOf(shape)]))],
  ['Tile', ({ inputs: [data, repeats] }) => countOf(data) * sizeOf(numbersOf(repeats))],
  ['ConstantOfShape', ({ inputs: [shape] }) => sizeOf(numbersOf(shape))],
  ['Range', range],
  ['Pad', pad],
  ['Gather', gather],
  ['GatherElements', ({ inputs: [, indices] }) => countOf(indices)],
  ['GatherND', gatherNd],
  ['OneHot', ({ inputs: [indices, depth] }) => countOf(indices) * numbersOf(depth)[0]],
  ['NonZero', ({ inputs: [data] }) => countOf(data) * Math.max(1, shapeOf(data).length)],
]);
