// dwp export: trained networks and fitted priors for other programs, and networks of others with kernels of priors.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { seedKey } from '../../engine/index.js';
import { usageError } from '../../errors.js';
import { refuseExisting, saveFile } from '../../formats/files.js';
import { openSource } from '../../formats/source.js';
import { type ExportedPrior, exportPrior } from '../../interchange/export-prior.js';
import { type ExportedRun, exportRun } from '../../interchange/export-run.js';
import { FALLBACKS, type RewrittenLayer, rewriteModel, SCALES } from '../../interchange/rewrite-onnx.js';
import { sizeText } from '../../kernels/index.js';
import { readPriorFolder } from '../../prior-folders/prior-folder.js';
import { argument, defineCommand, list, option } from '../command.js';
import type { Effects } from '../effects.js';
import { type EngineInput, engineOptions, openEngine, seedOption } from '../options.js';
import { table } from '../table.js';

interface RewrittenModel {
  kind: 'model';
  out: string;
  bytes: number;
  layers: RewrittenLayer[];
}
type ExportResult = ExportedRun | ExportedPrior | RewrittenModel;

export const exportCommand = defineCommand({
  name: 'export',
  description:
    'A run is written as a network whose weights are the posterior means; the components of a mixture predict together. ' +
    'A prior is written as a folder of ONNX graphs (sampler, log-density, and the parts of a VAE), described in ' +
    'kernel-prior.json. With --init, the command writes a copy of your ONNX network in which the 2-D convolution ' +
    'kernels are replaced by samples of the priors of their sizes.',
  arguments: {
    source: argument('[source]', 'folder of dwp train or dwp fit-prior', z.string().optional()),
  },
  options: {
    onnx: option(
      '--onnx <path>',
      'ONNX file to write for a run, or folder to write for a prior; must not exist yet',
      z.string().optional(),
    ),
    keras: option(
      '--keras <file.h5>',
      'Keras weight file to write for a run: name.weights.h5 for Keras 3, name.h5 for Keras 2; must not exist yet',
      z.string().optional(),
    ),
    init: option(
      '--init <model.onnx>',
      'ONNX network whose kernels are to be replaced',
      z.string().optional(),
    ),
    prior: option(
      '--prior <dirs...>',
      'with --init: fitted priors, one for each kernel size',
      list(z.string()).optional(),
    ),
    out: option(
      '--out <file.onnx>',
      'with --init: ONNX model to write; must not exist yet',
      z.string().optional(),
    ),
    scale: option(
      '--scale <which>',
      "with --init: prior writes samples as they are, keep scales them to the root mean square of the layer's weights",
      z.enum(SCALES).default('prior'),
    ),
    fallback: option(
      '--fallback <what>',
      'with --init: what to do with layers of other sizes: leave them unchanged, or draw them from a normal distribution (he)',
      z.enum(FALLBACKS).default('leave'),
    ),
    seed: seedOption,
    ...engineOptions,
  },
  examples: [
    'dwp export runs/dwp-100 --onnx digits.onnx',
    'dwp export runs/dwp-100 --keras digits.weights.h5',
    'dwp export priors/7x7 --onnx interchange/7x7',
    'dwp export --init resnet.onnx --prior priors/7x7 priors/3x3 --scale keep --out resnet-dwp.onnx',
  ],
  async run(input, effects): Promise<ExportResult> {
    const { source, onnx, keras, prior = [], out } = input;
    if (input.init !== undefined) return giveKernels({ ...input, init: input.init, prior }, effects);
    if (prior.length > 0 || out)
      throw usageError('--prior and --out need --init', 'to write a prior, use --onnx');
    if (source === undefined)
      throw usageError('nothing to export', 'give a folder of dwp train or dwp fit-prior, or --init');
    if (!onnx && !keras) throw usageError('nothing to write', 'give --onnx or --keras');
    for (const path of [onnx, keras]) if (path) refuseExisting(path);
    if (!existsSync(join(source, 'prior.json'))) return exportRun(source, { onnx, keras });
    if (keras || !onnx)
      throw usageError(
        `${source} is a prior, which can only be written as ONNX graphs`,
        'use --onnx <folder>',
      );
    return exportPrior(source, onnx, await openEngine(input));
  },
  render(result) {
    if (result.kind === 'run') return renderRun(result);
    return result.kind === 'prior' ? renderPrior(result) : renderModel(result);
  },
});

interface KernelsInput extends EngineInput {
  init: string;
  prior: string[];
  source?: string;
  onnx?: string;
  keras?: string;
  out?: string;
  scale: (typeof SCALES)[number];
  fallback: (typeof FALLBACKS)[number];
  seed: number;
}

/** --init: a copy of a network whose kernels are samples of priors. */
async function giveKernels(input: KernelsInput, effects: Effects): Promise<RewrittenModel> {
  const { source, onnx, keras, init, prior, out, scale, fallback } = input;
  if (source !== undefined || onnx || keras)
    throw usageError(
      '--init cannot be combined with a folder, --onnx or --keras',
      'leave these out, and name the result with --out',
    );
  if (!out || prior.length === 0) throw usageError('--init needs --prior and --out', 'see dwp export --help');
  refuseExisting(out);
  const priors = Object.fromEntries(
    prior.map((path) => {
      const { prior, about } = readPriorFolder(path);
      return [path, { prior, units: about.units }];
    }),
  );
  const model = openSource(init);
  const bar = effects.progress('drawing kernels', 1000);
  const progress = (done: number, total: number, layer: string) => bar.update((1000 * done) / total, layer);
  try {
    const engine = await openEngine(input);
    const options = { scale, fallback, progress };
    const { bytes, layers } = await rewriteModel(model, priors, options, engine, seedKey(input.seed));
    if (!layers.some(({ from }) => from)) {
      const reasons = [...new Set(layers.map(({ reason }) => reason))].join('; ') || 'it has none';
      throw usageError(
        `${init} has no convolution that ${prior.join(' or ')} could draw (${reasons})`,
        'nothing was written; dwp inspect lists its layers',
      );
    }
    saveFile(out, bytes);
    return { kind: 'model', out, bytes: bytes.length, layers };
  } finally {
    bar.stop();
    model.close();
  }
}

function renderRun({ components, files, outputs }: ExportedRun): string {
  const what = components > 1 ? `, the log of the mean probabilities of ${components} networks` : '';
  return [
    ...files.map(
      ({ path, format, bytes, images }) => `${format}: ${path} (${bytes} bytes), for images [${images}]`,
    ),
    `values of images in [0, 1] → logits [${outputs[0].shape}]${what}`,
  ].join('\n');
}

function renderPrior({ out, graphs, family, size }: ExportedPrior): string {
  const ports = (list: Record<string, { shape?: unknown[] }>) =>
    Object.entries(list)
      .map(([name, { shape }]) => `${name} [${shape}]`)
      .join(', ');
  return [
    `${family} prior of ${sizeText(size)} kernels as ONNX graphs; all random numbers are inputs, standard normal:`,
    '',
    table(
      ['graph', 'inputs', 'results', 'bytes'],
      Object.values(graphs).map(({ file, inputs, outputs, bytes }) => [
        file,
        ports(inputs),
        ports(outputs),
        `${bytes}`,
      ]),
    ),
    '',
    `Written to ${out}, described in ${join(out, 'kernel-prior.json')}. In Python: examples/initialise_pytorch.py`,
  ].join('\n');
}

function renderModel({ out, layers }: RewrittenModel): string {
  const drawn = layers.filter(({ from }) => from).length;
  const rms = (x: number | undefined) => (x === undefined ? '' : x.toPrecision(3));
  return [
    table(
      ['layer', 'shape', 'type', 'kernels', 'rms before', 'after'],
      layers.map(({ layer, shape, dtype, from, reason, before, after }) => [
        layer,
        shape?.join('x') ?? '',
        dtype ?? '',
        from ?? `left: ${reason}`,
        rms(before),
        rms(after),
      ]),
    ),
    '',
    `${drawn} of ${layers.length} convolutions have new kernels, written to ${out}; everything else is unchanged.`,
  ].join('\n');
}
