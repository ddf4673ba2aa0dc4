// The network of a finished run, with posterior means as weights, as files of other programs.
import { join } from 'node:path';
import { loadDataset } from '../data/index.js';
import { createEngine } from '../engine/index.js';
import { usageError } from '../errors.js';
import { writeFileAtomic } from '../formats/files.js';
import { isSampler } from '../train/sample-network.js';
import { readCheckpoint } from './checkpoint.js';
import { networkToKeras } from './export-keras.js';
import { networkToOnnx } from './export-onnx.js';
import { plainWeights } from './plain-weights.js';
import { buildArchitecture, posteriorOf, prepare } from './problem.js';
import { readRunConfig } from './run.js';

export interface ExportedRun {
  kind: 'run';
  files: { path: string; format: string; bytes: number }[];
  inputs: { name: string; shape: (number | 'batch')[] }[];
  outputs: { name: string; shape: (number | 'batch')[] }[];
}

/**
 * @param run folder of dwp train
 * @throws DwpError USAGE when it is a run by Markov chains, INPUT when it is no run
 */
export async function exportRun(
  run: string,
  { onnx, keras }: { onnx?: string; keras?: string },
): Promise<ExportedRun> {
  const config = readRunConfig(run);
  if (isSampler(config.posterior))
    throw usageError(
      `${run} is a run by Markov chains (${config.posterior}): it has many networks, not one`,
      `they are in ${join(run, 'samples')}, as safetensors`,
    );
  const dataset = loadDataset(config.data, config.dataDir);
  // where each kernel has a ζ, it is the prior that says what a kernel is
  const architecture =
    config.posterior === 'semi-implicit'
      ? prepare(config, dataset).model.architecture
      : buildArchitecture(config, dataset.train);
  const network = { architecture, posterior: posteriorOf(config) };
  const { parameters } = readCheckpoint(run, network);
  const engine = await createEngine(config.engine, config.threads, config.device);
  const weights = await plainWeights(network, parameters, engine);
  const files: ExportedRun['files'] = [];
  const write = (path: string, format: string, bytes: Uint8Array) => {
    writeFileAtomic(path, bytes);
    files.push({ path, format, bytes: bytes.length });
  };
  if (onnx) write(onnx, 'onnx', networkToOnnx(architecture, weights));
  if (keras) write(keras, 'keras-hdf5', await networkToKeras(architecture, weights));
  const { height, width, channels } = architecture.input;
  return {
    kind: 'run',
    files,
    inputs: [{ name: 'images', shape: ['batch', channels, height, width] }],
    outputs: [{ name: 'logits', shape: ['batch', architecture.classes] }],
  };
}
