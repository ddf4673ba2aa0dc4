// Operators of ONNX as layers of a network. A new one is a line of the table at the end.
import { f32, type NdArray } from '../engine/index.js';
import type { Call, Operator, Value } from './onnx-reader.js';

const simple =
  (kind: string): Operator =>
  (call) =>
    call.layer(kind, [call.elements()]);

const same: Operator = (call) => call.anyInput();

/** Stride and padding of a window. */
const windowOf = (call: Call, size: readonly number[]): Record<string, unknown> => {
  const auto = call.attribute('auto_pad')?.text || 'NOTSET';
  call.require(['NOTSET', 'VALID', 'SAME_UPPER'].includes(auto), `auto_pad ${auto} is not known`);
  call.require(size.length === 2, `windows of ${size.length} axes: only images are read`);
  const ints = (name: string, otherwise: number[]) => {
    const given = call.attribute(name)?.ints ?? [];
    return given.length > 0 ? [...given] : otherwise;
  };
  const sides = ints('pads', [0, 0, 0, 0]);
  const padding = auto === 'SAME_UPPER' ? 'same' : sides.every((n) => n === 0) ? 'valid' : sides;
  return { stride: ints('strides', [1, 1]), padding };
};

function conv(call: Call): Value {
  const input = call.input();
  const weights = call.constant(1);
  const bias = call.optional(2);
  const [out, inputs, ...kernel] = weights.shape;
  const arrays = { weights, ...(bias && { bias }) };
  if (input.vector) {
    const plain = (call.attribute('group')?.int ?? 1) === 1 && `${kernel}` === '1,1';
    call.require(plain && !input.flat, 'behind a mean over positions only kernels of 1×1 are known');
    return call.layer('dense', [input], { units: out, bias: bias !== undefined }, arrays);
  }
  const groups = call.attribute('group')?.int ?? 1;
  const dilation = [...(call.attribute('dilations')?.ints ?? [])];
  const common = {
    kernel,
    ...windowOf(call, kernel),
    ...(dilation.some((n) => n !== 1) && { dilation }),
    bias: bias !== undefined,
  };
  return groups > 1 && inputs === 1
    ? call.layer('depthwise-conv', [input], { multiplier: out / groups, ...common }, arrays)
    : call.layer('conv', [input], { channels: out, ...common, ...(groups > 1 && { groups }) }, arrays);
}

const pool =
  (kind: string): Operator =>
  (call) => {
    const size = [...(call.attribute('kernel_shape')?.ints ?? [])];
    const window = windowOf(call, size);
    call.require(!call.attribute('ceil_mode')?.int, 'ceil_mode 1 is not known');
    call.require(!call.attribute('dilations')?.ints.some((n) => n !== 1), 'dilations are not known');
    const padded = window.padding !== 'valid';
    call.require(
      !(padded && call.attribute('count_include_pad')?.int),
      'a mean that counts padding is not known',
    );
    return call.layer(kind, [call.input()], { size, ...window });
  };

function dense(call: Call, matrix: NdArray, transposed: boolean, bias?: NdArray): Value {
  call.require(matrix.shape.length === 2, `its weights have ${matrix.shape.length} axes, not 2`);
  const [a, b] = matrix.shape;
  const [units, inputs] = transposed ? [a, b] : [b, a];
  const data = transposed
    ? Float32Array.from(matrix.data)
    : Float32Array.from(matrix.data, (_, i) => matrix.data[(i % inputs) * units + Math.floor(i / inputs)]);
  const arrays = {
    weights: f32([units, inputs, 1, 1], data),
    ...(bias && { bias: f32([units], spread(bias.data, units)) }),
  };
  const made = call.layer('dense', [call.input()], { units, bias: bias !== undefined }, arrays);
  return { layer: made.layer, vector: true };
}

const spread = (data: ArrayLike<number>, count: number) =>
  Float32Array.from({ length: count }, (_, i) => data[i % data.length]);

function flatten(call: Call): Value {
  const input = call.elements();
  return input.vector ? input : call.flatten(input);
}

/** To [n, features], or to [n, 1, 1, features]. */
function reshape(call: Call): Value {
  const to = Array.from(call.optional(1)?.data ?? call.attribute('shape')?.ints ?? []);
  const flat =
    call.isShape(1) || to.length === 2 || (to.length === 4 && to.slice(1).filter((n) => n === 1).length >= 2);
  call.require(flat, `to [${to}]: only [n, features] is a shape that is known`);
  return flatten(call);
}

/** Images with channels before or behind height and width; what is no image has one order. */
function transpose(call: Call): Value {
  const order = `${call.attribute('perm')?.ints}`;
  const { channelsLast = false, ...value } = call.elements();
  if (value.vector && !value.flat && ['0,2,3,1', '0,3,1,2'].includes(order)) return value;
  call.require(
    !value.vector && order === (channelsLast ? '0,3,1,2' : '0,2,3,1'),
    `of axes ${order}; known: channels of images to the end, and back`,
  );
  return channelsLast ? value : { ...value, channelsLast: true };
}

function clip(call: Call): Value {
  const bound = (name: string, i: number) => call.attribute(name)?.float ?? call.optional(i)?.data[0];
  const [low, high = Number.POSITIVE_INFINITY] = [bound('min', 1), bound('max', 2)];
  call.require(
    low === 0 && (high === 6 || high > 1e30),
    `between ${low} and ${high}; known: 0 to 6, and 0 and more`,
  );
  return call.layer(high === 6 ? 'relu6' : 'relu', [call.elements()]);
}

/** x · gate(x), or factors of channels. */
function product(call: Call): Value {
  const pair = [call.elements(0), call.elements(1)];
  for (const [x, gate] of [pair, [...pair].reverse()]) {
    const maker = call.maker(gate);
    if (maker?.kind === 'sigmoid' && maker.inputs[0] === x.layer) return call.layer('silu', [x]);
    if (maker?.kind === 'hard-sigmoid' && maker.inputs[0] === x.layer && isSixth(maker.slope))
      return call.layer('hard-swish', [x]);
    if (isClippedSum(call, gate, x.layer)) return { ...call.layer('hard-swish', [x]), factor: 6 };
  }
  const [whole, factors] = pair[0].vector ? [pair[1], pair[0]] : pair;
  call.require(
    !pair.some(({ flat, channelsLast }) => flat || channelsLast),
    'a product is known of images [n, c, h, w] and factors of their channels',
  );
  return call.layer('multiply', [whole, factors]);
}

const isSixth = (x: unknown): boolean => typeof x === 'number' && Math.abs(x - 1 / 6) < 1e-6;

/** clip(x + 3, 0, 6) of a layer x: six times its HardSigmoid. */
function isClippedSum(call: Call, value: Value, of: string | undefined): boolean {
  const clipped = call.maker(value);
  const sum = clipped?.kind === 'relu6' ? call.maker({ ...value, layer: clipped.inputs[0] }) : undefined;
  if (sum?.kind !== 'affine' || sum.scale !== false) return false;
  const offset = call.partOf({ ...value, layer: sum.name }, 'offset');
  return offset?.data.length === 1 && offset.data[0] === 3 && (of === undefined || sum.inputs[0] === of);
}

/**
 * A stored number, or one for each channel of the value.
 * @param i which input of the node it is
 */
function channelNumbers(call: Call, i: number, { vector, channelsLast }: Value): ArrayLike<number> {
  const { shape, data } = call.constant(i);
  if (data.length === 1) return data;
  const axis = shape.findIndex((size) => size !== 1) - shape.length; // counted from the end
  const fits =
    data.length === shape.at(axis) && (axis === (channelsLast ? -1 : -3) || (vector && axis === -1));
  call.require(fits, `a constant [${shape}], which is no number for each channel`);
  return data;
}

/** value · scale, of a number or one for each channel. */
function scaled(call: Call, i: number, numbers: ArrayLike<number>): Value {
  const value = call.anyInput(i);
  const [factor] = Array.from(numbers);
  if (value.factor !== undefined) {
    const { factor: times, ...rest } = value;
    call.require(
      numbers.length === 1 && Math.abs(times * factor - 1) < 1e-6,
      `it multiplies ${times} times a HardSwish`,
    );
    return rest;
  }
  if (numbers.length === 1 && isSixth(factor) && isClippedSum(call, value, undefined)) {
    const sum = call.maker({ ...value, layer: call.maker(value)!.inputs[0] })!;
    return call.layer('hard-sigmoid', [{ ...value, layer: sum.inputs[0] }], { slope: 1 / 6, offset: 0.5 });
  }
  const maker = call.open(i);
  if (maker?.kind === 'batch-norm') {
    for (const part of ['scale', 'offset']) {
      const { data } = call.partOf(value, part)!;
      call.setPart(
        maker,
        part,
        Float32Array.from(data, (x, c) => x * numbers[c % numbers.length]),
      );
    }
    return value;
  }
  const made = call.layer('affine', [value], { scale: true, offset: false });
  call.setPart({ name: made.layer }, 'scale', numbers);
  return made;
}

/** value + offset, of a number or one for each channel: a bias where the layer has none. */
function shifted(call: Call, i: number, numbers: ArrayLike<number>): Value {
  const value = call.elements(i);
  const maker = call.open(i);
  const outputs = maker?.units ?? maker?.channels ?? call.partOf(value, 'weights')?.shape[0];
  if (maker?.bias === false && call.partOf(value, 'weights') && typeof outputs === 'number') {
    call.require([1, outputs].includes(numbers.length), `${numbers.length} numbers for ${outputs} outputs`);
    Object.assign(maker, { bias: true });
    call.setPart(maker, 'bias', spread(numbers, outputs));
    return value;
  }
  const offset = maker && ['batch-norm', 'affine'].includes(maker.kind) && call.partOf(value, 'offset');
  if (offset && offset.data.length >= numbers.length) {
    call.setPart(
      maker,
      'offset',
      Float32Array.from(offset.data, (x, c) => x + numbers[c % numbers.length]),
    );
    return value;
  }
  const made = call.layer('affine', [value], { scale: false, offset: true });
  call.setPart({ name: made.layer }, 'offset', numbers);
  return made;
}

const negative = (numbers: ArrayLike<number>) => Array.from(numbers, (x) => -x);
const inverse = (numbers: ArrayLike<number>) => Array.from(numbers, (x) => 1 / x);

function sum(call: Call): Value {
  const constants = call.node.inputs.map((_, i) => call.isConstant(i));
  if (!constants.includes(true)) {
    const inputs = call.node.inputs.map((_, i) => call.input(i));
    return inputs.length === 1 ? inputs[0] : call.layer('add', inputs);
  }
  const at = constants.indexOf(false);
  return shifted(call, at, channelNumbers(call, 1 - at, call.anyInput(at)));
}

function difference(call: Call): Value {
  call.require(!call.isConstant(0) && call.isConstant(1), 'only x − constant is known');
  return shifted(call, 0, negative(channelNumbers(call, 1, call.anyInput())));
}

function multiply(call: Call): Value {
  if (!call.isConstant(0) && !call.isConstant(1)) return product(call);
  const at = call.isConstant(0) ? 1 : 0;
  return scaled(call, at, channelNumbers(call, 1 - at, call.anyInput(at)));
}

function divide(call: Call): Value {
  call.require(!call.isConstant(0) && call.isConstant(1), 'only x / constant is known');
  return scaled(call, 0, inverse(channelNumbers(call, 1, call.anyInput())));
}

function concat(call: Call): Value {
  const inputs = call.node.inputs.map((_, i) => call.elements(i));
  const axis = call.attribute('axis')?.int ?? 1;
  const [{ vector, channelsLast = false }] = inputs;
  const channels = channelsLast ? [3, -1] : vector ? [1, -1, -3] : [1, -3];
  call.require(channels.includes(axis), `along axis ${axis}; known: channels`);
  call.require(!inputs.some(({ flat }) => flat), 'of images that were flattened before');
  call.require(
    inputs.every((each) => (each.channelsLast ?? false) === channelsLast),
    'of images with channels first and last',
  );
  return inputs.length === 1 ? inputs[0] : call.layer('concat', inputs);
}

function batchNorm(call: Call): Value {
  const [scale, offset, mean, variance] = [1, 2, 3, 4].map(call.constant.bind(call));
  const options = {
    epsilon: call.attribute('epsilon')?.float ?? 1e-5,
    momentum: call.attribute('momentum')?.float ?? 0.9,
  };
  // running averages go on as after so many steps that they follow at the rate of the momentum
  const steps = f32([], Float32Array.of(Math.min(1e6, Math.ceil(1 / (1 - options.momentum)))));
  return call.layer('batch-norm', [call.input()], options, { scale, offset, mean, variance, steps });
}

function gemm(call: Call): Value {
  const one = (name: string) => (call.attribute(name)?.float ?? 1) === 1;
  call.require(
    one('alpha') && one('beta') && !call.attribute('transA')?.int,
    'alpha, beta or transA are not known',
  );
  return dense(call, call.constant(1), call.attribute('transB')?.int === 1, call.optional(2));
}

const globalPool =
  (kind: string): Operator =>
  (call) => ({ ...call.layer(kind, [call.input()]), vector: true });

function reduceMean(call: Call): Value {
  const axes = call.attribute('axes')?.ints ?? [...(call.optional(1)?.data ?? [])];
  const places = axes.map((axis) => (axis < 0 ? axis + 4 : axis)).sort();
  const { channelsLast, ...input } = call.elements();
  call.require(`${places}` === (channelsLast ? '1,2' : '2,3'), `over axes ${axes}; known: height and width`);
  return { ...call.layer('global-average-pool', [input]), vector: true };
}

function squeeze(call: Call): Value {
  call.require(call.input().vector, 'only height and width of 1, behind a mean over positions, are known');
  return call.input();
}

export const operators: Readonly<Record<string, Operator>> = {
  Add: sum,
  AveragePool: pool('average-pool'),
  BatchNormalization: batchNorm,
  Clip: clip,
  Concat: concat,
  Conv: conv,
  Div: divide,
  Dropout: same,
  Elu: (call) => {
    call.require((call.attribute('alpha')?.float ?? 1) === 1, 'alpha other than 1 is not known');
    return simple('elu')(call);
  },
  Flatten: (call) => {
    call.require((call.attribute('axis')?.int ?? 1) === 1, 'axis other than 1 is not known');
    return flatten(call);
  },
  Gelu: (call) => {
    call.require(
      (call.attribute('approximate')?.text || 'none') === 'none',
      'the approximate form is not known',
    );
    return simple('gelu')(call);
  },
  Gemm: gemm,
  GlobalAveragePool: globalPool('global-average-pool'),
  GlobalMaxPool: globalPool('global-max-pool'),
  HardSigmoid: (call) =>
    call.layer('hard-sigmoid', [call.elements()], {
      slope: call.attribute('alpha')?.float ?? 0.2,
      offset: call.attribute('beta')?.float ?? 0.5,
    }),
  HardSwish: simple('hard-swish'),
  Identity: same,
  LeakyRelu: (call) =>
    call.layer('leaky-relu', [call.elements()], { slope: call.attribute('alpha')?.float ?? 0.01 }),
  LogSoftmax: same, // behind the last layer, whose logits are trained
  MatMul: (call) => dense(call, call.constant(1), false),
  MaxPool: pool('max-pool'),
  Mul: multiply,
  ReduceMean: reduceMean,
  Relu: simple('relu'),
  Reshape: reshape,
  Selu: simple('selu'),
  Sigmoid: simple('sigmoid'),
  Softmax: same,
  Softplus: simple('softplus'),
  Squeeze: squeeze,
  Sub: difference,
  Sum: sum,
  Tanh: simple('tanh'),
  Transpose: transpose,
};
