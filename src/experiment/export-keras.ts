// A trained network's weights in the layout of Keras 2's HDF5 weight files: one group per layer, [h, w, in, out].
import type { NdArray } from '../engine/index.js';
import { type Architecture, convLayers, denseLayers } from '../nn/index.js';
import type { PlainWeights } from './plain-weights.js';

/** Bytes of the HDF5 file. The HDF5 library only writes files: here into a file system in memory. */
export async function networkToKeras(architecture: Architecture, weights: PlainWeights): Promise<Uint8Array> {
  const { File, ready } = await import('h5wasm');
  const { FS } = await ready;
  const path = '/export.h5';
  const file = new File(path, 'w');
  try {
    const layers = [
      ...convLayers(architecture).map(({ name, shape }) => ({
        name,
        kernel: toHwio(weights[name].kernel, shape),
      })),
      ...denseLayers(architecture).map(({ name }) => ({ name, kernel: weights[name].kernel })),
    ];
    file.create_attribute(
      'layer_names',
      layers.map(({ name }) => name),
    );
    file.create_attribute('backend', 'tensorflow');
    for (const { name, kernel } of layers) {
      const outer = file.create_group(name);
      outer.create_attribute('weight_names', [`${name}/kernel:0`, `${name}/bias:0`]);
      const inner = outer.create_group(name);
      const { bias } = weights[name];
      for (const [part, { data, shape }] of [
        ['kernel:0', kernel],
        ['bias:0', bias],
      ] as const)
        inner.create_dataset({ name: part, data: Float32Array.from(data), shape: [...shape], dtype: '<f4' });
    }
    file.close();
    return FS.readFile(path) as Uint8Array;
  } finally {
    FS.unlink(path);
  }
}

/** [out, in, h, w] → [h, w, in, out] */
function toHwio({ data }: NdArray, [out, inputs, h, w]: readonly [number, number, number, number]): NdArray {
  const moved = new Float32Array(data.length);
  for (let o = 0, from = 0; o < out; o++)
    for (let i = 0; i < inputs; i++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++, from++) moved[((y * w + x) * inputs + i) * out + o] = data[from];
  return { shape: [h, w, inputs, out], data: moved };
}
