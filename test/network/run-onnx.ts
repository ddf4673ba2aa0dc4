// An exported classifier, run by onnxruntime.
import { f32, type NdArray } from '../../src/engine/index.js';
import { onnxruntime } from '../../src/engine/onnxruntime.js';

const ort = await onnxruntime();

/** @param images [n, h, w, c]; the graph's are [n, c, h, w]. @returns logits [n, classes] */
export async function runOnnx(model: Uint8Array, { shape, data }: NdArray): Promise<NdArray> {
  const [n, h, w, c] = shape;
  const planes = new Float32Array(data.length);
  for (let i = 0; i < n; i++)
    for (let at = 0; at < h * w; at++)
      for (let k = 0; k < c; k++) planes[(i * c + k) * h * w + at] = data[(i * h * w + at) * c + k];
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
  const { logits } = await session.run({ images: new ort.Tensor('float32', planes, [n, c, h, w]) });
  await session.release();
  return f32(logits.dims, Float32Array.from(logits.data as Float32Array));
}
