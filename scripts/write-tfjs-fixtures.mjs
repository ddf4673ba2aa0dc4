// Adds test/fixtures/tensorflow/saved-by-tfjs: the network of expected.json as TensorFlow.js itself saves it.
// Its input and output are compared with TensorFlow's on the way. See write-tensorflow-fixtures.py.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [installed] = process.argv.slice(2);
if (!installed)
  throw new Error('usage: write-tfjs-fixtures.mjs <folder that @tensorflow/tfjs is installed in>');
const tf = createRequire(join(installed, 'package.json'))('@tensorflow/tfjs');

const fixtures = fileURLToPath(new URL('../test/fixtures/tensorflow', import.meta.url));
const { input, output, kernels } = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8'));

const inner = tf.sequential({ name: 'inner' });
inner.add(
  tf.layers.conv2d({
    ...{ name: 'conv', inputShape: [9, 8, 3], filters: 4, kernelSize: [3, 2] },
    ...{ activation: 'relu', biasInitializer: tf.initializers.constant({ value: 0.1 }) },
  }),
);
inner.add(
  tf.layers.depthwiseConv2d({
    ...{ name: 'depthwise', kernelSize: [3, 3], depthMultiplier: 2 },
    ...{ activation: 'relu', biasInitializer: tf.initializers.constant({ value: 0.1 }) },
  }),
);
const net = tf.sequential({ name: 'net' });
net.add(inner);
net.add(tf.layers.separableConv2d({ name: 'separable', filters: 5, kernelSize: [2, 3], useBias: false }));
net.add(
  tf.layers.conv2dTranspose({
    name: 'transposed',
    filters: 3,
    kernelSize: [3, 2],
    strides: 2,
    useBias: false,
  }),
);

/** [out, in, h, w] → TensorFlow's layout of that kind. */
const stored = ({ shape, data }, kind, channels) => {
  if (kind === 'depthwise')
    return tf.tensor(data, [channels, shape[0] / channels, ...shape.slice(2)]).transpose([2, 3, 0, 1]);
  return tf.tensor(data, shape).transpose(kind === 'conv' ? [2, 3, 1, 0] : [2, 3, 0, 1]);
};
const values = {
  'conv/kernel': stored(kernels.conv, 'conv'),
  'depthwise/depthwise_kernel': stored(kernels.depthwise, 'depthwise', 4),
  'separable/depthwise_kernel': stored(kernels['separable/depthwise'], 'depthwise', 8),
  'separable/pointwise_kernel': stored(kernels['separable/pointwise'], 'conv'),
  'transposed/kernel': stored(kernels.transposed, 'transposed'),
};
for (const weight of net.weights) {
  const value = Object.entries(values).find(([name]) => `/${weight.originalName}`.includes(`/${name}`));
  if (value) weight.write(value[1]);
  else if (!weight.originalName.includes('bias')) throw new Error(`no value for ${weight.originalName}`);
}

const result = await net.predict(tf.tensor(input.data, [1, ...input.shape])).data();
const difference = Math.max(...output.data.map((x, i) => Math.abs(x - result[i])));
if (!(difference < 1e-4)) throw new Error(`TensorFlow.js differs from TensorFlow by ${difference}`);

const folder = join(fixtures, 'saved-by-tfjs');
mkdirSync(folder, { recursive: true });
await net.save(
  tf.io.withSaveHandler(
    async ({ modelTopology, weightSpecs, weightData, format, generatedBy, convertedBy }) => {
      const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      const model = { modelTopology, format, generatedBy, convertedBy, weightsManifest };
      writeFileSync(join(folder, 'model.json'), JSON.stringify(model));
      writeFileSync(
        join(folder, 'weights.bin'),
        new Uint8Array(tf.io.concatenateArrayBuffers([weightData].flat())),
      );
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    },
  ),
);
