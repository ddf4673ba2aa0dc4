// Operators that move elements without computing with them; on whole numbers they are carried out at once.
import { sizeOf, tf } from '../../engine/index.js';
import {
  attribute,
  axisOf,
  integers,
  list,
  listed,
  listOf,
  type Operator,
  refuse,
  required,
  tensor,
} from './call.js';
import { isIntegers, type Value } from './values.js';

/** Most numbers that ConstantOfShape may make. */
const LARGEST = 2 ** 28;

const reshape = (x: Value, shape: readonly number[]): Value =>
  isIntegers(x) ? { shape, integers: x.integers } : tf.reshape(x, [...shape]);
const fits = (x: Value, shape: readonly number[]) =>
  shape.every((n) => Number.isInteger(n) && n >= 0) && sizeOf(shape) === sizeOf(x.shape)
    ? shape
    : refuse(`[${x.shape}] has no shape [${shape}]`);

/** Steps through one axis. */
function sliced(x: Value, axis: number, start: number, end: number, step: number): Value {
  const length = x.shape[axis];
  if (step !== 1) return refuse(`a step of ${step}`);
  const clamp = (i: number) => Math.min(length, Math.max(0, i < 0 ? i + length : i));
  const [from, to] = [clamp(start), clamp(end)];
  if (to < from) return refuse(`an empty slice from ${start} to ${end}`);
  if (isIntegers(x))
    return x.shape.length === 1 ? listed(x.integers.slice(from, to)) : refuse('a slice of a table');
  const begin = x.shape.map((_, i) => (i === axis ? from : 0));
  return tf.slice(
    x,
    begin,
    x.shape.map((n, i) => (i === axis ? to - from : n)),
  );
}

export const shapeOperators: Readonly<Record<string, Operator>> = {
  Shape: (call) => {
    const { shape } = required(call.inputs[0]);
    const end = call.attributes.end === undefined ? shape.length : attribute(call, 'end', 0);
    return [listed(shape.slice(attribute(call, 'start', 0), end))];
  },
  Reshape: (call) => {
    const x = required(call.inputs[0]);
    const target = listOf(call, 'shape', 1) ?? refuse('no shape');
    const zero = attribute(call, 'allowzero', 0) !== 0;
    const shape = target.map((n, i) => (n === 0 && !zero ? x.shape[i] : n));
    const known = sizeOf(shape.filter((n) => n !== -1));
    return [
      reshape(
        x,
        fits(
          x,
          shape.map((n) => (n === -1 ? sizeOf(x.shape) / known : n)),
        ),
      ),
    ];
  },
  Flatten: (call) => {
    const x = required(call.inputs[0]);
    const given = attribute(call, 'axis', 1);
    const axis = given < 0 ? given + x.shape.length : given;
    return [reshape(x, fits(x, [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))]))];
  },
  Squeeze: (call) => {
    const x = required(call.inputs[0]);
    const axes = listOf(call, 'axes', 1)?.map((axis) => axisOf(axis, x.shape.length));
    return [
      reshape(
        x,
        fits(
          x,
          x.shape.filter((n, i) => (axes ? !axes.includes(i) : n !== 1)),
        ),
      ),
    ];
  },
  Unsqueeze: (call) => {
    const x = required(call.inputs[0]);
    const given = listOf(call, 'axes', 1) ?? refuse('no axes');
    const rank = x.shape.length + given.length;
    const axes = given.map((axis) => axisOf(axis, rank));
    const rest = [...x.shape];
    return [
      reshape(
        x,
        fits(
          x,
          Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : rest.shift()!)),
        ),
      ),
    ];
  },
  Transpose: (call) => {
    const x = tensor(call.inputs[0]);
    const perm = list(call, 'perm') ?? x.shape.map((_, i) => x.rank - 1 - i);
    return [tf.transpose(x, [...perm])];
  },
  Concat: (call) => {
    const values = call.inputs.map(required);
    if (values.every(isIntegers)) return [listed(values.flatMap(({ integers }) => integers))];
    const tensors = values.map(tensor);
    return [tf.concat(tensors, axisOf(attribute(call, 'axis', 0), tensors[0].rank))];
  },
  Slice: (call) => {
    const x = required(call.inputs[0]);
    const [starts = [], ends = []] = [listOf(call, 'starts', 1), listOf(call, 'ends', 2)];
    const axes = listOf(call, 'axes', 3) ?? starts.map((_, i) => i);
    const steps = integers(call.inputs[4]) ?? starts.map(() => 1);
    return [
      axes.reduce<Value>(
        (y, axis, i) => sliced(y, axisOf(axis, y.shape.length), starts[i], ends[i], steps[i]),
        x,
      ),
    ];
  },
  Split: (call) => {
    const x = tensor(call.inputs[0]);
    const axis = axisOf(attribute(call, 'axis', 0), x.rank);
    const length = x.shape[axis];
    const each = Math.ceil(length / call.count);
    const sizes =
      listOf(call, 'split', 1) ??
      Array.from({ length: call.count }, (_, i) => Math.min(each, length - i * each));
    // TensorFlow.js has no gradient of a split into one
    return sizes.length === 1 && sizes[0] === length ? [x] : tf.split(x, [...sizes], axis);
  },
  Gather: (call) => {
    const [x, at] = [required(call.inputs[0]), required(call.inputs[1])];
    const axis = axisOf(attribute(call, 'axis', 0), x.shape.length);
    if (!isIntegers(at)) return [tf.gather(tensor(x), tf.cast(at, 'int32'), axis)];
    const places = at.integers.map((i) => axisOf(i, x.shape[axis]));
    if (isIntegers(x)) return [{ shape: at.shape, integers: places.map((i) => x.integers[i]) }];
    const rows = tf.gather(x, tf.tensor1d(places, 'int32'), axis);
    return [tf.reshape(rows, [...x.shape.slice(0, axis), ...at.shape, ...x.shape.slice(axis + 1)])];
  },
  Expand: (call) => {
    const x = tensor(call.inputs[0]);
    const shape = integers(call.inputs[1]) ?? refuse('no shape');
    return [tf.broadcastTo(x, tf.broadcast_util.assertAndGetBroadcastShape(x.shape, [...shape]))];
  },
  ConstantOfShape: (call) => {
    const shape = integers(call.inputs[0]) ?? refuse('no shape');
    if (!(sizeOf(shape) <= LARGEST)) return refuse(`a shape of [${shape}]`);
    const [value = 0] = list(call, 'value') ?? [];
    return [tf.fill([...shape], value)];
  },
};
