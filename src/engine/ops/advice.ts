// What to do instead of an operation that cannot be compiled.

const COMPLEX =
  'a graph has no complex numbers: keep real and imaginary parts in two tensors, or take the transform before the step and give its result as an input';
const STRINGS = 'a graph of numbers has no strings: turn them into int32 numbers before the step';
const VALUES =
  'the shape of its result depends on values, and shapes in a step are fixed: use tf.where with a mask, or do it outside the step';
const NOISE =
  'a step has no randomness of its own: make the numbers with a RandomStream and give them as an input';
const VOLUMES =
  'volumes have no lowering: fold one axis into the batch or the channels and use the two-dimensional operation';
const GEOMETRY =
  'transform images before the step and give the result as an input; tf.image.resizeBilinear, tf.gather and tf.reverse can be compiled';
const MORPHOLOGY = 'take tf.maximum over shifted tf.slice of the padded image, with the filter added to each';
const SPARSE =
  'sparse tensors have no lowering: use tf.gather, tf.unsortedSegmentSum or tf.scatterND on dense ones';
const BROWSER = 'it needs a browser: decode images before the step and give pixels as an input';

const groups: readonly (readonly [advice: string, kernels: readonly string[]])[] = [
  [COMPLEX, ['Complex', 'ComplexAbs', 'Real', 'Imag', 'FFT', 'IFFT']],
  [STRINGS, ['StaticRegexReplace', 'StringNGrams', 'StringSplit', 'StringToHashBucketFast']],
  [
    VALUES,
    [
      'Where',
      'Unique',
      'NonMaxSuppressionV3',
      'NonMaxSuppressionV4',
      'NonMaxSuppressionV5',
      'RaggedGather',
      'RaggedRange',
      'RaggedTensorToTensor',
    ],
  ],
  [NOISE, ['Multinomial']],
  [
    VOLUMES,
    [
      'Conv3D',
      'Conv3DBackpropFilterV2',
      'Conv3DBackpropInputV2',
      'AvgPool3D',
      'AvgPool3DGrad',
      'MaxPool3D',
      'MaxPool3DGrad',
    ],
  ],
  [GEOMETRY, ['CropAndResize', 'RotateWithOffset', 'Transform']],
  [MORPHOLOGY, ['Dilation2D', 'Dilation2DBackpropInput', 'Dilation2DBackpropFilter']],
  [SPARSE, ['SparseFillEmptyRows', 'SparseReshape', 'SparseSegmentMean', 'SparseSegmentSum']],
  [BROWSER, ['FromPixels', 'Draw']],
  ['use tf.searchSorted', ['LowerBound', 'UpperBound']],
  ['use tf.pool, or tf.maxPool and tf.avgPool', ['Pool']],
  ['use tf.linalg.bandPart, which is composed of other operations', ['MatrixBandPart']],
  ['shapes are known while the step is traced: compute with tensor.shape', ['BroadcastArgs']],
  ['its gradient is composed of other operations while a step is compiled', ['LRNGrad']],
];

/** Kernels of TensorFlow.js without a lowering, and what to use instead. */
export const advice: Readonly<Record<string, string>> = Object.fromEntries(
  groups.flatMap(([text, kernels]) => kernels.map((kernel) => [kernel, text])),
);
