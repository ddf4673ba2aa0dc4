// A network as somebody described it: a list of layers that fits any number of classes, and other widths than its own.
import { z } from 'zod';
import { usageError } from '../errors.js';
import {
  type Architecture,
  fitArchitecture,
  type ImageShape,
  type LayerDescription,
} from './architecture.js';

/** Stands for the number of classes, as `units` of a dense layer or `channels` of a convolution. */
export const CLASSES = 'classes';

const MOST_LAYERS = 1000;

const layer = z.looseObject({
  kind: z.string(),
  name: z.string().optional(),
  inputs: z.union([z.string(), z.array(z.string())]).optional(),
});

export const describedNetwork = z.strictObject({
  name: z.string(),
  /** The file that it was read from, for messages. */
  file: z.string().optional(),
  layers: z.array(layer).min(1).max(MOST_LAYERS),
  /** Outputs of the classifier that the file holds weights of; a network for another number of classes has a new one. */
  classes: z.number().int().min(1).optional(),
  /** Line of each layer in the file. */
  lines: z.array(z.number()).optional(),
});

export type DescribedNetwork = z.infer<typeof describedNetwork>;

/**
 * Layers for a number of classes, with channels and units multiplied by `width`, rounded to whole groups and at least one.
 * The last layer's outputs are not multiplied.
 */
export const sizedLayers = (
  layers: readonly LayerDescription[],
  classes: number,
  width: number,
): LayerDescription[] =>
  layers.map((description, i) => {
    const outputs = ['channels', 'units'].find((option) => description[option] !== undefined);
    if (!outputs) return description;
    const given = description[outputs];
    if (given === CLASSES) return { ...description, [outputs]: classes };
    if (typeof given !== 'number' || i === layers.length - 1 || width === 1) return description;
    const groups = typeof description.groups === 'number' ? description.groups : 1;
    return { ...description, [outputs]: groups * Math.max(1, Math.round((given * width) / groups)) };
  });

/**
 * @param width multiplies numbers of channels and units of hidden layers
 * @throws DwpError USAGE as {@link fitArchitecture}, with the layer's line in its file
 */
export function describedArchitecture(
  { name, file, layers, lines }: DescribedNetwork,
  input: ImageShape,
  classes: number,
  width = 1,
): Architecture {
  const where = (i: number) => {
    if (!file) return '';
    return lines?.[i] === undefined ? ` of ${file}` : `, line ${lines[i]} of ${file}`;
  };
  if (lines && lines.length !== layers.length)
    throw usageError(
      `${name} has ${layers.length} layers and ${lines.length} lines`,
      'leave lines out, or give one for each',
    );
  const fitted = fitArchitecture(
    file ?? name,
    input,
    classes,
    () => sizedLayers(layers as LayerDescription[], classes, width),
    where,
  );
  return { ...fitted, name };
}
