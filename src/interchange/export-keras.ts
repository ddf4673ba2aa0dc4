// A trained network's weights as a Keras HDF5 weight file, kernels as [h, w, in, out]: in the layout of Keras 2
// (load_weights of a file called .h5), or in that of Keras 3 (.weights.h5).
import { f32, type NdArray } from '../engine/index.js';
import { usageError } from '../errors.js';
import {
  type Architecture,
  convLayers,
  denseLayers,
  isConvolution,
  type WeightShape,
  weightShape,
} from '../network/index.js';
import type { PlainWeights } from './plain-weights.js';

export type KerasLayout = 'keras2' | 'keras3';

/**
 * Keras 3 tells the layouts apart by the file's name.
 *
 * @throws DwpError USAGE for a name that Keras loads no weights from
 */
export function kerasLayout(path: string): KerasLayout {
  const name = path.toLowerCase();
  if (name.endsWith('.weights.h5')) return 'keras3';
  if (/\.(h5|hdf5)$/.test(name)) return 'keras2';
  throw usageError(
    `${path}: Keras cannot load weights from a file with this name`,
    'use the name name.weights.h5 for Keras 3, or name.h5 for Keras 2',
  );
}

/** Bytes of the HDF5 file. The HDF5 library only writes files: here into a file system in memory. */
export async function networkToKeras(
  architecture: Architecture,
  weights: PlainWeights,
  layout: KerasLayout = 'keras2',
): Promise<Uint8Array> {
  const { File, ready } = await import('h5wasm');
  const { FS } = await ready;
  const path = '/export.h5';
  const file = new File(path, 'w');
  const layers = kerasLayers(architecture, weights);
  type Group = Pick<typeof file, 'create_dataset'>;
  const write = (group: Group, name: string, { data, shape }: NdArray) =>
    group.create_dataset({ name, data: Float32Array.from(data), shape: [...shape], dtype: '<f4' });
  try {
    if (layout === 'keras3') {
      // layers go by their class, numbered from the second of a class on, their weights by number
      const all = file.create_group('layers');
      const counts = new Map<string, number>();
      for (const { name, className, kernel, bias } of layers) {
        const count = counts.get(className) ?? 0;
        counts.set(className, count + 1);
        const group = all.create_group(count === 0 ? className : `${className}_${count}`);
        const own = group.create_group('vars');
        own.create_attribute('name', name);
        write(own, '0', kernel);
        write(own, '1', bias);
      }
    } else {
      file.create_attribute(
        'layer_names',
        layers.map(({ name }) => name),
      );
      file.create_attribute('backend', 'tensorflow');
      for (const { name, kernel, bias } of layers) {
        const outer = file.create_group(name);
        outer.create_attribute('weight_names', [`${name}/kernel:0`, `${name}/bias:0`]);
        const inner = outer.create_group(name);
        write(inner, 'kernel:0', kernel);
        write(inner, 'bias:0', bias);
      }
    }
    file.close();
    return FS.readFile(path) as Uint8Array;
  } finally {
    FS.unlink(path);
  }
}

interface KerasLayer {
  name: string;
  className: 'conv2d' | 'dense';
  kernel: NdArray;
  bias: NdArray;
}

/** @throws DwpError USAGE for layers whose weights such a file cannot say */
function kerasLayers(architecture: Architecture, weights: PlainWeights): KerasLayer[] {
  for (const { name, kind } of architecture.layers)
    if (!['conv', 'dense'].includes(kind) && Object.keys(weights[name]).length > 0)
      throw usageError(
        `layer ${name}: a layer of kind ${kind} cannot be written to a Keras weight file`,
        'use --onnx, which has every kind',
      );
  const weighted = [...convLayers(architecture), ...denseLayers(architecture)];
  return weighted.map((layer) => {
    const shape = weightShape(layer);
    const { weights: kernel, bias = f32([shape[0]]) } = weights[layer.name];
    const moved = toHwio(kernel, shape);
    return {
      name: layer.name,
      className: isConvolution(layer) ? 'conv2d' : 'dense',
      kernel: isConvolution(layer) ? moved : { ...moved, shape: moved.shape.slice(2) },
      bias,
    };
  });
}

/** [out, in, h, w] → [h, w, in, out] */
function toHwio({ data }: NdArray, [out, inputs, h, w]: WeightShape): NdArray {
  const moved = new Float32Array(data.length);
  for (let o = 0, from = 0; o < out; o++)
    for (let i = 0; i < inputs; i++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++, from++) moved[((y * w + x) * inputs + i) * out + o] = data[from];
  return { shape: [h, w, inputs, out], data: moved };
}
