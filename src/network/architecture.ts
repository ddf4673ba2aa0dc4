// A network without its weights: a directed graph of named layers, in an order in which each follows what it reads, with
// the shapes of everything. Made from a list of descriptions, which is what YAML files hold too.
import { z } from 'zod';
import { usageError } from '../errors.js';
import { layerKinds } from './kinds/index.js';
import { type ExampleShape, IMAGES, type Layer, ShapeError } from './layer.js';

export interface ImageShape {
  height: number;
  width: number;
  channels: number;
}

export interface Architecture {
  name: string;
  input: ImageShape;
  classes: number;
  /** In order; the last one's output are the logits. */
  layers: readonly Layer[];
}

/**
 * One layer: its kind, its options, and where it stands. Without `inputs` it reads the layer before it in the list, without
 * a name it is called after its kind and its place.
 */
export interface LayerDescription {
  kind: string;
  name?: string;
  inputs?: string | readonly string[];
  readonly [option: string]: unknown;
}

const NAME = /^[A-Za-z][\w-]{0,63}$/;
const MOST_LAYERS = 1000;
/** Elements of a layer's output for one image, or of its weights. */
const LARGEST = 2 ** 28;

/**
 * @param descriptions the last one, or the only one that nobody reads, makes the logits
 * @param where what a message says of layer i, such as its line in a file
 * @throws DwpError USAGE for an unknown kind, an option that is wrong, an input that is missing or of the wrong shape, a
 *   cycle, and another number of outputs than classes; it names the layer
 */
export function buildArchitecture(
  name: string,
  input: ImageShape,
  classes: number,
  descriptions: readonly LayerDescription[],
  where: (index: number) => string = () => '',
): Architecture {
  if (descriptions.length === 0) throw usageError(`${name} has no layers`, 'give a list of layers');
  if (descriptions.length > MOST_LAYERS)
    throw usageError(`${name} has ${descriptions.length} layers`, `at most ${MOST_LAYERS} are read`);
  const images: ExampleShape = [input.height, input.width, input.channels];
  const drafts = descriptions.map((description, i) => draftOf(description, i, descriptions, where(i)));
  const byName = new Map(drafts.map((draft) => [draft.name, draft]));
  for (const [i, draft] of drafts.entries())
    if (byName.get(draft.name) !== draft || draft.name === IMAGES)
      throw usageError(
        `layer ${draft.name}${where(i)}: ${draft.name === IMAGES ? 'this is the name of the input' : 'two layers have this name'}`,
        'give it another name',
      );
  const built = new Map<string, Layer>();
  const open = new Set<string>();
  const build = (draft: Draft): Layer => {
    const done = built.get(draft.name);
    if (done) return done;
    if (open.has(draft.name))
      throw usageError(
        `layer ${draft.name}${draft.where}: its inputs lead back to it (${[...open, draft.name].join(' → ')})`,
        'a network has no cycles',
      );
    open.add(draft.name);
    const inputShapes = draft.inputs.map((source) => {
      if (source === IMAGES) return images;
      const from = byName.get(source);
      if (!from)
        throw usageError(
          `layer ${draft.name}${draft.where}: there is no layer ${source} to read`,
          `layers: ${[IMAGES, ...byName.keys()].join(', ')}`,
        );
      return build(from).outputShape;
    });
    open.delete(draft.name);
    const layer = finished(draft, inputShapes);
    built.set(draft.name, layer);
    return layer;
  };
  drafts.forEach(build);
  const layers = [...built.values()];
  const read = new Set(layers.flatMap(({ inputs }) => inputs));
  const ends = layers.filter((layer) => !read.has(layer.name));
  if (ends.length > 1)
    throw usageError(
      `${name} ends in ${ends.length} layers: ${ends.map((layer) => layer.name).join(', ')}`,
      'every layer but the last must be the input of another layer',
    );
  const [end] = ends;
  if (end.outputShape.length !== 1 || end.outputShape[0] !== classes)
    throw usageError(
      `layer ${end.name}${byName.get(end.name)!.where}: the network ends in [${end.outputShape.join(', ')}], and there are ${classes} classes`,
      'end it with a dense layer of units: classes',
    );
  return { name, input, classes, layers: [...layers.filter((layer) => layer !== end), end] };
}

/**
 * One layer alone, for inputs of given shapes.
 * @throws DwpError USAGE as {@link buildArchitecture}
 */
export function makeLayer(description: LayerDescription, inputShapes: readonly ExampleShape[]): Layer {
  const named = { ...description, inputs: inputShapes.map((_, i) => `input${i + 1}`) };
  return finished(draftOf(named, 0, [named], ''), inputShapes);
}

interface Draft {
  name: string;
  kind: string;
  options: unknown;
  inputs: readonly string[];
  where: string;
}

function draftOf(
  { kind, name, inputs, ...options }: LayerDescription,
  index: number,
  all: readonly LayerDescription[],
  where: string,
): Draft {
  const called = name ?? automaticName(kind, index, all);
  const refused = (what: string, hint: string) => usageError(`layer ${called}${where}: ${what}`, hint);
  if (name !== undefined && !NAME.test(name))
    throw refused(
      'this is not a valid name',
      'a name begins with a letter and consists of letters, digits, - and _',
    );
  const found = layerKinds.get(kind);
  if (!found)
    throw refused(`there is no kind of layer called ${kind}`, `kinds: ${[...layerKinds.keys()].join(', ')}`);
  const parsed = found.options.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const option = issue.path.join('.');
    throw refused(`${option ? `${option}: ` : ''}${issue.message}`, optionsText(found.options, kind));
  }
  const given = inputs === undefined ? undefined : typeof inputs === 'string' ? [inputs] : [...inputs];
  const before = index > 0 ? nameOf(all, index - 1) : IMAGES;
  const sources = given ?? [before];
  if (sources.length === 0) throw refused('it has no inputs', 'name the layers that it reads');
  if (found.inputs === 'one' && sources.length > 1)
    throw refused(
      `a layer of kind ${kind} has one input, not ${sources.length}`,
      'join them with add or concat',
    );
  if (found.inputs === 'several' && sources.length < 2)
    throw refused(`a layer of kind ${kind} needs several inputs`, 'name them: inputs: [a, b]');
  return { name: called, kind, options: parsed.data, inputs: sources, where };
}

const nameOf = (all: readonly LayerDescription[], index: number): string =>
  all[index].name ?? automaticName(all[index].kind, index, all);

/** `conv2` for the second layer of kind conv; `flatten` where there is but one. */
function automaticName(kind: string, index: number, all: readonly LayerDescription[]): string {
  const number = all.slice(0, index + 1).filter((other) => other.kind === kind).length;
  return all.filter((other) => other.kind === kind).length === 1 ? kind : `${kind}${number}`;
}

function optionsText(schema: z.ZodType, kind: string): string {
  let inner: z.ZodType = schema;
  if (inner instanceof z.ZodPipe) inner = inner.in as z.ZodType;
  const names = inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
  return names.length > 0 ? `options of ${kind}: ${names.join(', ')}` : `${kind} has no options`;
}

function finished(
  { name, kind, options, inputs, where }: Draft,
  inputShapes: readonly ExampleShape[],
): Layer {
  const found = layerKinds.get(kind)!;
  const refused = (what: string) =>
    new LayerShapeError(`layer ${name}${where} (${kind}): ${what}`, inputShapes);
  let shape: ExampleShape;
  try {
    shape = found.shape(options, inputShapes);
  } catch (error) {
    if (error instanceof ShapeError) throw refused(error.message);
    throw error;
  }
  const layer: Layer = { name, kind, options, inputs, inputShapes, outputShape: shape };
  const weights = found.weights?.shape(layer) ?? [];
  for (const [what, size] of [
    ['output', shape],
    ['weights', weights],
  ] as const)
    if (size.reduce((a, b) => a * b, 1) > LARGEST)
      throw refused(`its ${what} [${size.join(', ')}] are too large`);
  return { ...layer, ...(found.weights?.random && { random: true }) };
}

/** A layer whose inputs do not fit it; with larger images they may. */
class LayerShapeError extends Error {
  constructor(
    message: string,
    readonly inputShapes: readonly ExampleShape[],
  ) {
    super(message);
  }
}

const LARGEST_TRIED = 512;

/**
 * As {@link buildArchitecture}; images that are too small are refused with the smallest square ones that are not.
 * @param describe the layers for images of a shape
 */
export function fitArchitecture(
  name: string,
  input: ImageShape,
  classes: number,
  describe: (input: ImageShape) => readonly LayerDescription[],
  where?: (index: number) => string,
): Architecture {
  const build = (size: ImageShape) => buildArchitecture(name, size, classes, describe(size), where);
  try {
    return build(input);
  } catch (error) {
    if (!(error instanceof LayerShapeError)) throw error;
    const least = smallestSide((side) => build({ ...input, height: side, width: side }));
    if (least !== undefined && least > Math.min(input.height, input.width))
      throw usageError(
        `images of ${input.height}×${input.width} are too small for ${name}: ${error.message}`,
        `it needs at least ${least}×${least}`,
      );
    const inputs = error.inputShapes.map((shape) => `[${shape.join(', ')}]`).join(' and ');
    throw usageError(error.message, `it reads ${inputs}`);
  }
}

/** Side of the smallest square images that a network can be built for. */
function smallestSide(build: (side: number) => unknown): number | undefined {
  for (let side = 1; side <= LARGEST_TRIED; side++)
    try {
      build(side);
      return side;
    } catch (error) {
      if (!(error instanceof LayerShapeError)) return undefined;
    }
  return undefined;
}
