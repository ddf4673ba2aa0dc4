// Gradients that TensorFlow.js lacks or gets wrong. They are written with TensorFlow.js operations and hold on every
// backend; where the tracing backend has a shorter way, it takes that one, and tests compare the two.
import * as tf from '#tfjs';
import { TRACING_BACKEND } from './ops/lowering.js';

type Pair = [number, number];
type Attributes = tf.NamedAttrMap;

/** True while a step is compiled: then kernels of the tracing backend are at hand that no other backend has. */
const tracing = () => tf.getBackend() === TRACING_BACKEND;

/** Runs a kernel by its name, for attributes that the functions of TensorFlow.js do not pass on. */
const run = <T extends tf.Tensor>(kernel: string, inputs: tf.NamedTensorMap, attrs: object = {}): T =>
  tf.engine().runKernel(kernel, inputs, attrs as Attributes);

const pair = (given: unknown): Pair => {
  const value = (given ?? 1) as number | number[];
  return typeof value === 'number' ? [value, value] : [value[0], value[1] ?? value[0]];
};

// --- Convolutions -----------------------------------------------------------------------------------------------
// TensorFlow.js stops at dilations. A convolution with dilation d is one without, of a filter with d − 1 rows of zeros
// between its rows: its gradients are those of that convolution.

/** [kh, kw, ..] → [(kh − 1) dh + 1, (kw − 1) dw + 1, ..], zeros between */
function interleaveZeros(filter: tf.Tensor, [dh, dw]: Pair): tf.Tensor {
  const [kh, kw, ...rest] = filter.shape;
  const depth = rest.reduce((a, b) => a * b, 1);
  const padded = tf.pad(tf.reshape(filter, [kh, 1, kw, 1, depth]), [
    [0, 0],
    [0, dh - 1],
    [0, 0],
    [0, dw - 1],
    [0, 0],
  ]);
  const size = [(kh - 1) * dh + 1, (kw - 1) * dw + 1];
  return tf.slice(tf.reshape(padded, [kh * dh, kw * dw, ...rest]), [0, 0], size);
}

/** The elements that {@link interleaveZeros} kept. */
function dropInterleaved(filter: tf.Tensor, [dh, dw]: Pair): tf.Tensor {
  const [fullHeight, fullWidth, ...rest] = filter.shape;
  const [kh, kw] = [(fullHeight - 1) / dh + 1, (fullWidth - 1) / dw + 1];
  const depth = rest.reduce((a, b) => a * b, 1);
  const none = rest.map((): Pair => [0, 0]);
  const grown = tf.pad(filter, [[0, dh - 1], [0, dw - 1], ...none]);
  const cells = tf.reshape(grown, [kh, dh, kw, dw, depth]);
  return tf.reshape(tf.slice(cells, [0, 0, 0, 0, 0], [kh, 1, kw, 1, depth]), [kh, kw, ...rest]);
}

/** ∂/∂x of the convolution `kernel` of an image of `inputShape`, given ∂/∂y. */
function imageGradient(
  kernel: string,
  dy: tf.Tensor,
  filter: tf.Tensor,
  inputShape: number[],
  attrs: Attributes,
) {
  const dilations = pair(attrs.dilations);
  if (tracing() || (dilations[0] === 1 && dilations[1] === 1))
    return run(`${kernel}BackpropInput`, { dy, filter }, { ...attrs, inputShape, dilations });
  return run(
    `${kernel}BackpropInput`,
    { dy, filter: interleaveZeros(filter, dilations) },
    { ...attrs, inputShape, dilations: [1, 1] },
  );
}

/** ∂/∂filter of the convolution `kernel` with a filter of `filterShape`, given ∂/∂y. */
function filterGradient(
  kernel: string,
  dy: tf.Tensor,
  x: tf.Tensor,
  filterShape: number[],
  attrs: Attributes,
) {
  const dilations = pair(attrs.dilations);
  const [dh, dw] = dilations;
  if (tracing() || (dh === 1 && dw === 1))
    return run(`${kernel}BackpropFilter`, { x, dy }, { ...attrs, filterShape, dilations });
  const [kh, kw, ...rest] = filterShape;
  const spread = [(kh - 1) * dh + 1, (kw - 1) * dw + 1, ...rest];
  return dropInterleaved(
    run(`${kernel}BackpropFilter`, { x, dy }, { ...attrs, filterShape: spread, dilations: [1, 1] }),
    dilations,
  );
}

const forward = (kernel: string, x: tf.Tensor, filter: tf.Tensor, attrs: Attributes) =>
  run(kernel, { x, filter }, { ...attrs, dilations: pair(attrs.dilations) });

const convolutionGradient = (kernelName: string): tf.GradConfig => ({
  kernelName,
  inputsToSave: ['x', 'filter'],
  gradFunc: (dy, [x, filter], attrs) => ({
    x: () => imageGradient(kernelName, dy as tf.Tensor, filter, x.shape, attrs),
    filter: () => filterGradient(kernelName, dy as tf.Tensor, x, filter.shape, attrs),
  }),
});

// A transposed convolution is the gradient of a convolution with respect to its image. Linear in both of its inputs,
// it has that convolution and that convolution's other gradient as gradients; likewise the third.
const transposedGradients: tf.GradConfig[] = ['Conv2D', 'DepthwiseConv2dNative'].flatMap((kernel) => [
  {
    kernelName: `${kernel}BackpropInput`,
    inputsToSave: ['dy', 'filter'],
    gradFunc: (ddx, [dy, filter], attrs) => ({
      dy: () => forward(kernel, ddx as tf.Tensor, filter, attrs),
      filter: () => filterGradient(kernel, dy, ddx as tf.Tensor, filter.shape, attrs),
    }),
  },
  {
    kernelName: `${kernel}BackpropFilter`,
    inputsToSave: ['x', 'dy'],
    gradFunc: (ddw, [x, dy], attrs) => ({
      x: () => imageGradient(kernel, dy, ddw as tf.Tensor, x.shape, attrs),
      dy: () => forward(kernel, x, ddw as tf.Tensor, attrs),
    }),
  },
]);

// --- Pooling ----------------------------------------------------------------------------------------------------
// TensorFlow.js forgets the rounding mode in the gradients, and its `cpu` divides the gradient of a padded average by
// the whole window. An average over padding is the average of the padded image times window / pixels in the window.

interface PoolAttributes {
  filterSize: number | Pair;
  strides: number | Pair;
  pad: 'valid' | 'same' | number;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

function averagePoolGradient(dy: tf.Tensor, x: tf.Tensor, attrs: Attributes): tf.Tensor {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as PoolAttributes;
  const [n, h, w, c] = x.shape;
  const info = tf.backend_util.computePool2DInfo([n, h, w, c], filterSize, strides, 1, pad, dimRoundingMode);
  const { top, left } = info.padInfo;
  // Rows and columns up to the end of the last window, which may lie before or behind the image's end.
  const height = Math.max((info.outHeight - 1) * info.strideHeight + info.filterHeight, top + h);
  const width = Math.max((info.outWidth - 1) * info.strideWidth + info.filterWidth, left + w);
  if (tracing() || (height === h && width === w)) return run('AvgPoolGrad', { dy, input: x }, attrs);
  const around: Pair[] = [
    [0, 0],
    [top, height - top - h],
    [left, width - left - w],
    [0, 0],
  ];
  const inside = tf.avgPool(
    tf.pad(tf.ones([1, h, w, 1]), around) as tf.Tensor4D,
    filterSize,
    strides,
    'valid',
  );
  const padded = run(
    'AvgPoolGrad',
    { dy: tf.div(dy, inside), input: tf.pad(x, around) },
    { filterSize, strides, pad: 'valid' },
  );
  return tf.slice(padded, [0, top, left, 0], [n, h, w, c]);
}

const poolGradients: tf.GradConfig[] = [
  {
    kernelName: 'AvgPool',
    inputsToSave: ['x'],
    gradFunc: (dy, [x], attrs) => ({ x: () => averagePoolGradient(dy as tf.Tensor, x, attrs) }),
  },
  {
    kernelName: 'MaxPool',
    inputsToSave: ['x'],
    outputsToSave: [true],
    gradFunc: (dy, [input, output], attrs) => ({
      x: () => run('MaxPoolGrad', { dy: dy as tf.Tensor, input, output }, attrs),
    }),
  },
];

/** Puts these gradients in the place of TensorFlow.js's own; `loadTensorflow` keeps them there. */
export function registerDerivatives(): void {
  for (const gradient of [
    convolutionGradient('Conv2D'),
    convolutionGradient('DepthwiseConv2dNative'),
    ...transposedGradients,
    ...poolGradients,
  ])
    tf.registerGradient(gradient);
}

registerDerivatives();
