// dwp describe: a network's layers, what they cost, and the priors that their kernels would get.
import { z } from 'zod';
import { loadDataset } from '../../data/index.js';
import { usageError } from '../../errors.js';
import type { ImageShape } from '../../network/index.js';
import { describeNetwork, type NetworkTable } from '../../problems/describe.js';
import { readOffer } from '../../problems/layer-priors.js';
import { readNetwork } from '../../problems/network-file.js';
import { shownOf } from '../../problems/option.js';
import { problemOptions } from '../../problems/options.js';
import { plainArchitecture } from '../../problems/problem.js';
import { argument, defineCommand, integer, list, option } from '../command.js';
import { table } from '../table.js';

const DATA = 'mnist';
const CLASSES = 10;

export const describe = defineCommand({
  name: 'describe',
  description:
    'Nothing is trained or written. Shapes are [height, width, channels]; multiply-adds are those of one image.',
  arguments: {
    arch: argument('<arch>', shownOf(problemOptions.arch).description, problemOptions.arch),
  },
  options: {
    data: option(
      '--data <name>',
      'dataset with the size of the images and the classes',
      z.string().optional(),
      DATA,
    ),
    dataDir: option('--data-dir <dir>', 'folder with the four IDX files of a dataset', z.string().optional()),
    input: option(
      '--input <h>x<w>x<c>',
      'height, width and channels of the images, instead of --data',
      z
        .string()
        .regex(/^\d{1,5}x\d{1,5}x\d{1,5}$/, 'must be height x width x channels, such as 32x32x3')
        .optional(),
    ),
    classes: option('--classes <n>', 'number of classes, with --input', integer(1, 100_000).default(CLASSES)),
    width: option('--width <x>', shownOf(problemOptions.width).description, problemOptions.width),
    priorPath: option(
      '--prior-path <dirs...>',
      'folders of fitted priors: show which one each convolution would get, and why',
      list(z.string()).default([]),
    ),
  },
  examples: [
    'dwp describe lenet',
    'dwp describe resnet-20 --input 32x32x3 --width 0.5',
    'dwp describe network.yaml --data fashion-mnist --prior-path priors/3x3 priors/1x1',
  ],
  async run({ arch, data, dataDir, input, classes, width, priorPath }): Promise<NetworkTable> {
    if (input !== undefined && (data !== undefined || dataDir !== undefined))
      throw usageError('--input with --data: both say the size of the images', 'leave one of them out');
    const network = readNetwork(arch);
    const images = input === undefined ? imagesOf(data, dataDir) : { ...shapeOf(input), classes };
    const architecture = plainArchitecture({ arch: network, width }, images, images.classes);
    return describeNetwork(architecture, priorPath.map(readOffer));
  },
  render({ name, input, classes, layers, totals }) {
    const withPriors = layers.some(({ prior }) => prior);
    const rows = layers.map(({ name, kind, inputs, output, parameters, kernels, multiplyAdds, prior }, i) => [
      name,
      kind,
      readsTheOneBefore(inputs, layers[i - 1]?.name) ? '' : inputs.join(', '),
      output.join('×'),
      parameters,
      kernels ? `${number(kernels.count)} of ${kernels.size}` : '',
      kernels?.role ?? '',
      multiplyAdds,
      ...(withPriors ? [prior ? `${prior.paths.join(' + ') || '–'} (${prior.reason})` : ''] : []),
    ]);
    const head = ['layer', 'kind', 'reads', 'output', 'parameters', 'kernels', 'role', 'multiply-adds'];
    return [
      `${name}: images ${input.join('×')}, ${classes} classes`,
      '',
      table([...head, ...(withPriors ? ['prior'] : [])], rows),
      '',
      `${number(totals.parameters)} parameters, ${number(totals.kernels)} kernels, ${number(totals.multiplyAdds)} multiply-adds per image.`,
      ...(withPriors ? [] : ['Pass --prior-path to see which prior each convolution would get.']),
    ].join('\n');
  },
});

const readsTheOneBefore = (inputs: readonly string[], before = 'images') =>
  inputs.length === 1 && inputs[0] === before;

const number = (x: number) => x.toLocaleString('en-US');

function shapeOf(input: string): ImageShape {
  const [height, width, channels] = input.split('x').map(Number);
  if (Math.min(height, width, channels) < 1)
    throw usageError(`--input ${input}: images need a height, a width and a channel`, 'such as 32x32x3');
  return { height, width, channels };
}

function imagesOf(data = DATA, dataDir?: string): ImageShape & { classes: number } {
  const { height, width, channels, classes } = loadDataset(data, dataDir).train;
  return { height, width, channels, classes };
}
