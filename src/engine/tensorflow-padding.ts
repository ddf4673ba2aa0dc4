// Paddings for @tensorflow/tfjs-node, whose kernels know 'same' and 'valid' only, refuse every other and ignore the
// rounding of the number of windows. The image is brought to the size that the windows cover, then padding is 'valid'.
import * as tf from '#tfjs';

type Shape4 = [n: number, h: number, w: number, c: number];
type Inputs = Record<string, tf.TensorInfo>;
type Kernel = (inputs: Inputs, attrs: tf.NamedAttrMap) => tf.TensorInfo;
/** A kernel for any padding, given that for 'valid'. */
type Extension = (run: Kernel, kernelName: string) => Kernel;

/** Attributes of convolutions and pools, as far as they say where the windows lie. */
interface Geometry {
  strides: number | [number, number];
  dilations?: number | [number, number];
  filterSize: number | [number, number];
  pad: 'same' | 'valid' | number | tf.backend_util.ExplicitPadding;
  dataFormat?: 'NHWC' | 'NCHW';
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/** The part of the padded image that windows cover: `height` × `width` pixels, the first `top` and `left` before it. */
interface Cover {
  top: number;
  left: number;
  height: number;
  width: number;
}

const coverOf = (info: tf.backend_util.Conv2DInfo): Cover => ({
  top: info.padInfo.top,
  left: info.padInfo.left,
  height: (info.outHeight - 1) * info.strideHeight + info.effectiveFilterHeight,
  width: (info.outWidth - 1) * info.strideWidth + info.effectiveFilterWidth,
});

function convolutionCover(kernelName: string, image: number[], filter: number[], attrs: object): Cover {
  const { strides, dilations, pad, dimRoundingMode } = attrs as Geometry;
  const depthwise = kernelName.includes('Depthwise');
  return coverOf(
    tf.backend_util.computeConv2DInfo(
      image as Shape4,
      filter as Shape4,
      strides,
      dilations ?? 1,
      pad,
      dimRoundingMode,
      depthwise,
    ),
  );
}

function poolCover(image: number[], attrs: object): Cover {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as Geometry;
  return coverOf(
    tf.backend_util.computePool2DInfo(image as Shape4, filterSize, strides, 1, pad, dimRoundingMode),
  );
}

/** [n, h, w, c] → [n, height, width, c] */
function cover(image: tf.TensorInfo, { top, left, height, width }: Cover, value = 0): tf.Tensor4D {
  const [, h, w] = image.shape;
  const padded = tf.pad(
    image as tf.Tensor4D,
    [
      [0, 0],
      [top, Math.max(0, height - top - h)],
      [left, Math.max(0, width - left - w)],
      [0, 0],
    ],
    value,
  );
  return tf.slice(padded, [0, 0, 0, 0], [-1, height, width, -1]);
}

/** The gradient of {@link cover}: [n, height, width, c] → `shape` */
function uncover(dy: tf.TensorInfo, { top, left, height, width }: Cover, shape: number[]): tf.Tensor4D {
  const [, h, w] = shape;
  const padded = tf.pad(dy as tf.Tensor4D, [
    [0, 0],
    [0, Math.max(0, top + h - height)],
    [0, Math.max(0, left + w - width)],
    [0, 0],
  ]);
  return tf.slice(padded, [0, top, left, 0], shape as Shape4);
}

const valid = (attrs: tf.NamedAttrMap): tf.NamedAttrMap => ({
  ...attrs,
  pad: 'valid',
  dimRoundingMode: undefined as unknown as string,
});

const convolution: Extension = (run, name) => (inputs, attrs) => {
  const where = convolutionCover(name, inputs.x.shape, inputs.filter.shape, attrs);
  return run({ ...inputs, x: cover(inputs.x, where) }, valid(attrs));
};

const filterGradient: Extension =
  (run, name) =>
  ({ x, dy }, attrs) => {
    const where = convolutionCover(name, x.shape, attrs.filterShape as number[], attrs);
    return run({ x: cover(x, where), dy }, valid(attrs));
  };

const imageGradient: Extension =
  (run, name) =>
  ({ dy, filter }, attrs) => {
    const shape = attrs.inputShape as Shape4;
    const where = convolutionCover(name, shape, filter.shape, attrs);
    const inputShape = [shape[0], where.height, where.width, shape[3]];
    return uncover(run({ dy, filter }, { ...valid(attrs), inputShape }), where, shape);
  };

const maxPool: Extension =
  (run) =>
  ({ x }, attrs) =>
    run({ x: cover(x, poolCover(x.shape, attrs), Number.NEGATIVE_INFINITY) }, valid(attrs));

const maxPoolGradient: Extension =
  (run) =>
  ({ dy, input, output }, attrs) => {
    const where = poolCover(input.shape, attrs);
    const covered = cover(input, where, Number.NEGATIVE_INFINITY);
    return uncover(run({ dy, input: covered, output }, valid(attrs)), where, input.shape);
  };

/** The mean of the pixels that lie in the image. Its gradient is composed in `derivatives.ts`, from that for 'valid'. */
const averagePool: Extension =
  (run) =>
  ({ x }, attrs) => {
    const where = poolCover(x.shape, attrs);
    const mean = (of: tf.TensorInfo) => run({ x: cover(of, where) }, valid(attrs)) as tf.Tensor;
    return tf.div(mean(x), mean(tf.ones(x.shape)));
  };

const extensions: Record<string, Extension> = {
  Conv2D: convolution,
  Conv2DBackpropFilter: filterGradient,
  Conv2DBackpropInput: imageGradient,
  DepthwiseConv2dNative: convolution,
  DepthwiseConv2dNativeBackpropFilter: filterGradient,
  DepthwiseConv2dNativeBackpropInput: imageGradient,
  FusedConv2D: convolution,
  FusedDepthwiseConv2D: convolution,
  MaxPool: maxPool,
  MaxPoolGrad: maxPoolGradient,
  AvgPool: averagePool,
};

/** Gives the kernels of the backend `tensorflow` every padding and rounding that TensorFlow.js has. */
export function extendPadding(): void {
  for (const config of tf.getKernelsForBackend('tensorflow')) {
    const extend = extensions[config.kernelName];
    if (!extend) continue;
    tf.unregisterKernel(config.kernelName, 'tensorflow');
    tf.registerKernel({
      ...config,
      kernelFunc: ({ inputs, attrs = {}, backend }) => {
        const run: Kernel = (inputs, attrs) => config.kernelFunc({ inputs, attrs, backend }) as tf.TensorInfo;
        const { pad, dataFormat = 'NHWC', dimRoundingMode } = attrs as unknown as Geometry;
        const known = (typeof pad === 'string' && !dimRoundingMode) || dataFormat !== 'NHWC';
        return (known ? run : extend(run, config.kernelName))(inputs as Inputs, attrs);
      },
    });
  }
}
