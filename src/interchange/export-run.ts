// The network of a finished run, with posterior means as weights, as files of other programs; of a mixture of
// networks, all of them in one graph.
import { loadDataset } from '../data/index.js';
import { createEngine } from '../engine/index.js';
import { usageError } from '../errors.js';
import { saveFile } from '../formats/files.js';
import { posteriors } from '../posteriors/index.js';
import { buildArchitecture, statisticsOf } from '../problems/problem.js';
import { methodOf } from '../runs/config.js';
import { readRunConfig } from '../runs/config-file.js';
import { readProblem } from '../runs/run.js';
import { kerasLayout, networkToKeras } from './export-keras.js';
import { networkToOnnx } from './export-onnx.js';
import { type PlainWeights, plainWeights } from './plain-weights.js';

export interface ExportedRun {
  kind: 'run';
  /** Networks that predict together. */
  components: number;
  /** With the shape of the images that the network of each file takes. */
  files: { path: string; format: string; bytes: number; images: (number | 'batch')[] }[];
  inputs: { name: string; shape: (number | 'batch')[] }[];
  outputs: { name: string; shape: (number | 'batch')[] }[];
}

/**
 * Statistics of batch normalisation are computed from the training images for the posterior means, as predictions do for
 * each draw; with `batchNormStatistics: running` they are the running averages.
 * @param run folder of dwp train
 * @throws DwpError USAGE when it is a mixture that Keras cannot hold, INPUT when it is no run
 */
export async function exportRun(
  run: string,
  { onnx, keras }: { onnx?: string; keras?: string },
): Promise<ExportedRun> {
  const layout = keras ? kerasLayout(keras) : undefined;
  const config = readRunConfig(run);
  const method = methodOf(config);
  const dataset = loadDataset(config.data, config.dataDir);
  const { posterior } = method.model(config);
  // where each kernel has a ζ, it is the prior that says what a kernel is; else priors may be gone
  const architecture =
    posterior === posteriors['semi-implicit']
      ? readProblem(run, config, dataset).model.architecture
      : buildArchitecture(config, dataset.train);
  const network = { architecture, posterior };
  const components = method.networks(run, config, network);
  if (keras && components.length > 1)
    throw usageError(
      `${run} is a mixture of ${components.length} networks, but a Keras weight file holds only one`,
      'use --onnx, or train with --components 1',
    );
  const engine = await createEngine(config.engine, config.threads, config.device);
  const statistics = statisticsOf(config, dataset.train);
  const weights: PlainWeights[] = [];
  for (const parameters of components)
    weights.push(await plainWeights(network, parameters, engine, statistics));
  const files: ExportedRun['files'] = [];
  const { height, width, channels } = architecture.input;
  const first: ExportedRun['files'][number]['images'] = ['batch', channels, height, width];
  const last: typeof first = ['batch', height, width, channels];
  const write = (path: string, format: string, bytes: Uint8Array, images: typeof first) => {
    saveFile(path, bytes);
    files.push({ path, format, bytes: bytes.length, images });
  };
  if (onnx) write(onnx, 'onnx', networkToOnnx(architecture, weights), first);
  if (keras) write(keras, 'keras-hdf5', await networkToKeras(architecture, weights[0], layout), last);
  return {
    kind: 'run',
    components: components.length,
    files,
    inputs: [{ name: 'images', shape: onnx ? first : last }],
    outputs: [{ name: 'logits', shape: ['batch', architecture.classes] }],
  };
}
