// ONNX models: the weights of convolutions, wherever a constant for them is found: behind nodes that rearrange or
// de-quantise it, outside a subgraph, inside a function, in another file.
import { inputError } from '../errors.js';
import type { ByteSource } from '../formats/source.js';
import type { Importer, ReadOptions } from './importer.js';
import type { ModelLayers } from './layers.js';
import { readOnnxFile } from './onnx-file.js';
import { LayerFinder } from './onnx-layers.js';

export const onnx: Importer = {
  format: 'onnx',
  title: 'ONNX',
  extensions: ['.onnx'],
  // ONNX has no signature; files begin with field 1 (ir_version), a small number, and go on with another field
  recognises: (head, path) =>
    path.toLowerCase().endsWith('.onnx') ||
    (head[0] === 0x08 && head[1] < 0x20 && [0x12, 0x1a, 0x3a, 0x42].includes(head[2])),
  read: async (source, options) => readOnnx(source, options),
};

async function readOnnx(source: ByteSource, options: ReadOptions = {}): Promise<ModelLayers> {
  const file = readOnnxFile(source);
  if (!file.graph)
    throw inputError(
      `${source.path}: not an ONNX model (it holds no graph)`,
      'check that this is the right file',
    );
  const finder = new LayerFinder(source, file, options.foldBatchNorm ?? false);
  await finder.read(file.graph);
  const { layers, skipped } = finder;
  return {
    layers,
    skipped,
    close: () => finder.close(),
    ...(options.foldBatchNorm && { batchNorms: finder.batchNorms() }),
    ...(file.producer && { producer: file.producer }),
    ...(file.licence && { licence: file.licence }),
  };
}
