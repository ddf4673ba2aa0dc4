// dwp export: a trained network as a model that other programs read.
import { join } from 'node:path';
import { z } from 'zod';
import { loadDataset } from '../../data/index.js';
import { createEngine } from '../../engine/index.js';
import { usageError } from '../../errors.js';
import { readCheckpoint } from '../../experiment/checkpoint.js';
import { networkToKeras } from '../../experiment/export-keras.js';
import { networkToOnnx } from '../../experiment/export-onnx.js';
import { plainWeights } from '../../experiment/plain-weights.js';
import { buildArchitecture, posteriorOf } from '../../experiment/problem.js';
import { readRunConfig } from '../../experiment/run.js';
import { refuseExisting, writeFileAtomic } from '../../formats/files.js';
import { isSampler } from '../../train/sample-network.js';
import { argument, defineCommand, option } from '../command.js';

interface ExportResult {
  files: { path: string; format: string; bytes: number }[];
  inputs: { name: string; shape: (number | 'batch')[] }[];
  outputs: { name: string; shape: (number | 'batch')[] }[];
}

export const exportCommand = defineCommand({
  name: 'export',
  arguments: { run: argument('<run>', 'folder of dwp train', z.string()) },
  options: {
    onnx: option('--onnx <file.onnx>', 'ONNX model to write; must not exist yet', z.string().optional()),
    keras: option(
      '--keras <file.h5>',
      'Keras HDF5 weight file to write; must not exist yet',
      z.string().optional(),
    ),
  },
  examples: ['dwp export runs/dwp-100 --onnx digits.onnx'],
  async run({ run, onnx, keras }): Promise<ExportResult> {
    if (!onnx && !keras) throw usageError('nothing to write', 'pass --onnx or --keras');
    for (const path of [onnx, keras]) if (path) refuseExisting(path);
    const config = readRunConfig(run);
    if (isSampler(config.posterior))
      throw usageError(
        `${run} is a run by Markov chains (${config.posterior}): it has many networks, not one`,
        `they are in ${join(run, 'samples')}, as safetensors`,
      );
    const { train } = loadDataset(config.data, config.dataDir);
    const architecture = buildArchitecture(config, train);
    const network = { architecture, posterior: posteriorOf(config) };
    const { parameters } = readCheckpoint(run, network);
    const engine = await createEngine(config.engine, config.threads, config.device);
    const weights = await plainWeights(network, parameters, engine);
    const files: ExportResult['files'] = [];
    const write = (path: string, format: string, bytes: Uint8Array) => {
      writeFileAtomic(path, bytes);
      files.push({ path, format, bytes: bytes.length });
    };
    if (onnx) write(onnx, 'onnx', networkToOnnx(architecture, weights));
    if (keras) write(keras, 'keras-hdf5', await networkToKeras(architecture, weights));
    const { height, width, channels } = architecture.input;
    return {
      files,
      inputs: [{ name: 'images', shape: ['batch', channels, height, width] }],
      outputs: [{ name: 'logits', shape: ['batch', architecture.classes] }],
    };
  },
  render: ({ files, inputs, outputs }) =>
    [
      ...files.map(({ path, format, bytes }) => `${format}: ${path} (${bytes} bytes)`),
      `images [${inputs[0].shape}] with values in [0, 1] → logits [${outputs[0].shape}]`,
    ].join('\n'),
});
