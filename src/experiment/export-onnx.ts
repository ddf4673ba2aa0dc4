// A trained network as an ONNX model with its weights' posterior means: images [batch, c, h, w] in [0, 1] → logits.
// Of a posterior with components, the networks at their means predict together.
import { encodeOnnx, Graph, type NdArray, type Value } from '../engine/index.js';
import type { Architecture } from '../nn/index.js';
import type { PlainWeights } from './plain-weights.js';

/** @param components weights of each component m of (120) */
export function networkToOnnx(architecture: Architecture, components: PlainWeights[]): Uint8Array {
  const { name, input, classes } = architecture;
  const g = new Graph();
  const images = g.input('images', [-1, input.channels, input.height, input.width], 'float32');
  const logits = components.map((weights) => logitsOf(g, images, architecture, weights));
  if (logits.length === 1) return encodeOnnx(g, [['logits', logits[0]]], name);
  // log (1/M) Σ_m softmax(logits_m): its softmax are the mean probabilities
  const probabilities = logits.map((x) => g.emit1('Softmax', [x], x.shape, { axis: -1 }));
  const mean = g.emit1('Mean', probabilities, [-1, classes]);
  return encodeOnnx(g, [['logits', g.emit1('Log', [mean], [-1, classes])]], name);
}

function logitsOf(
  g: Graph,
  images: Value,
  { name, input, classes, layers }: Architecture,
  weights: PlainWeights,
): Value {
  const constant = ({ data, shape }: NdArray) => g.constant(Float32Array.from(data), shape, 'float32');
  let size = [input.height, input.width];
  let channels = input.channels;
  let x = images;
  for (const layer of layers)
    switch (layer.kind) {
      case 'conv': {
        const [out, , ...kernel] = layer.shape;
        size = [...layer.outputSize];
        channels = out;
        const pads: Record<string, string> = layer.pad === 'same' ? { auto_pad: 'SAME_UPPER' } : {};
        const { kernel: filters, bias } = weights[layer.name];
        const inputs = [x, constant(filters), constant(bias)];
        x = g.emit1('Conv', inputs, [-1, out, ...size], { kernel_shape: kernel, ...pads });
        break;
      }
      case 'leakyRelu':
        x = g.emit1('LeakyRelu', [x], x.shape, { alpha: { float: layer.slope } });
        break;
      case 'maxPool':
        size = size.map((n) => Math.floor(n / layer.size));
        x = g.emit1('MaxPool', [x], [-1, channels, ...size], {
          kernel_shape: [layer.size, layer.size],
          strides: [layer.size, layer.size],
        });
        break;
      case 'flatten': {
        // The classifier's rows are in the order [h, w, c].
        const nhwc = g.emit1('Transpose', [x], [-1, ...size, channels], { perm: [0, 2, 3, 1] });
        x = g.emit1('Flatten', [nhwc], [-1, size[0] * size[1] * channels], { axis: 1 });
        break;
      }
      case 'dense': {
        const { kernel: matrix, bias } = weights[layer.name];
        x = g.emit1('Gemm', [x, constant(matrix), constant(bias)], [-1, layer.shape[1]]);
        break;
      }
    }
  if (x.shape[1] !== classes) throw new Error(`${name} ends in ${x.shape[1]} outputs, not ${classes}`);
  return x;
}
