// --init model: a network that was read from an ONNX file starts at the weights that the file holds.
import { isDeepStrictEqual } from 'node:util';
import { type DwpError, inputError, usageError } from '../errors.js';
import {
  type Architecture,
  CLASSES,
  type DescribedNetwork,
  graphArrays,
  isConvolution,
  kindOf,
  parameterKey,
  weightLayers,
  weightShape,
} from '../network/index.js';
import type { Arrays } from '../priors/index.js';
import { readOnnxNetwork } from './onnx-network.js';
import { initOf, type ProblemConfig } from './options.js';

type Described = DescribedNetwork & { file: string };

/** The file that a run's network starts at, if it does. @throws DwpError USAGE where there can be none */
export function modelFile(config: ProblemConfig): string | undefined {
  return initOf(config) === 'model' ? requireModel(config).file : undefined;
}

function requireModel({ arch, width }: ProblemConfig): Described {
  if (typeof arch === 'string' || !/\.onnx$/i.test(arch.file ?? ''))
    throw usageError(
      '--init model needs a network that has weights',
      'add --arch model.onnx, or choose another --init',
    );
  if (width !== 1)
    throw usageError(
      `--init model cannot be used with --width ${width}: the weights are of the network as it is`,
      'leave one of them out',
    );
  return arch as Described;
}

/**
 * Everything of the file that fits the network: `layer.weights` [out, in, h, w] (of dense layers [out, in, 1, 1]), biases,
 * scales and running averages. The classifier is left out where the number of classes is another one, and dense layers
 * where the size of the images is.
 * @returns nothing without --init model
 * @throws DwpError INPUT for a file that is damaged or has changed, USAGE where convolutions do not fit the images
 */
export function storedArrays(config: ProblemConfig, architecture: Architecture): Arrays {
  if (initOf(config) !== 'model') return {};
  const { file, layers } = requireModel(config);
  const read = readOnnxNetwork(file);
  const { network } = read;
  if (!isDeepStrictEqual(network.layers, layers))
    throw inputError(`${file} holds another network than the run's`, 'restore the file, or start a new run');
  const given = graphArrays(architecture, read);
  const head = classifierName(network);
  const fitting: Record<string, Arrays[string]> = {};
  for (const layer of architecture.layers) {
    const kind = kindOf(layer);
    const shapes: Record<string, readonly number[]> = {
      ...(kind.weights && { weights: weightShape(layer) }),
      ...shapesOf(kind.parameters(layer)),
      ...shapesOf(kind.state(layer)),
    };
    const parts = Object.entries(shapes).flatMap(([part, shape]) => {
      const array = given[parameterKey(layer, part)];
      return array ? [{ part, shape, array }] : [];
    });
    const other = parts.find(({ shape, array }) => `${array.shape}` !== `${shape}`);
    if (other && layer.name !== head && isConvolution(layer)) throw misfit(layer.name, other, file);
    if (other) continue;
    for (const { part, array } of parts) {
      if (!array.data.every(Number.isFinite))
        throw inputError(
          `${file}: ${layer.name}.${part} holds values that are not finite`,
          'export it again',
        );
      fitting[parameterKey(layer, part)] = array;
    }
  }
  return fitting;
}

const shapesOf = (parts: Readonly<Record<string, { shape: readonly number[] }>>) =>
  Object.fromEntries(Object.entries(parts).map(([name, { shape }]) => [name, shape]));

const misfit = (
  layer: string,
  { part, shape, array }: { part: string; shape: readonly number[]; array: { shape: readonly number[] } },
  file: string,
): DwpError =>
  usageError(
    `--init model: ${part} of layer ${layer} are [${array.shape.join(', ')}] in ${file}, and [${shape.join(', ')}] for these images`,
    'use images with as many channels as the network was made for, or another --init',
  );

/** The layer whose outputs are the classes. */
const classifierName = ({ layers }: DescribedNetwork): string | undefined =>
  layers.find((layer) => [layer.units, layer.channels].includes(CLASSES))?.name;

/** What is new, and what is not, of a network from a file with weights: lines for a person. */
export function startNotes(config: ProblemConfig, architecture: Architecture, stored: Arrays): string[] {
  const { arch } = config;
  const { classes } = architecture;
  if (typeof arch === 'string' || arch.classes === undefined) return [];
  const head = classifierName(arch);
  const weighted = weightLayers(architecture);
  const fresh = weighted.filter((layer) => !stored[parameterKey(layer, 'weights')]).map(({ name }) => name);
  const notes: string[] = [];
  if (classes !== arch.classes)
    notes.push(`${head}: a new classifier of ${classes} classes; that of ${arch.file} has ${arch.classes}`);
  if (initOf(config) !== 'model') return notes;
  notes.push(
    `${weighted.length - fresh.length} of ${weighted.length} layers start at the weights of ${arch.file}`,
  );
  const others = fresh.filter((name) => name !== head);
  if (others.length > 0)
    notes.push(`${others.join(', ')}: new, since images of another size lead to other numbers of features`);
  return notes;
}
