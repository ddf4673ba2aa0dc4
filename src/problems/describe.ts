// A network as a table: what each layer makes, what it costs, and which prior its kernels would get.
import { DwpError } from '../errors.js';
import { type Architecture, isConvolution, kindOf, weightShape } from '../network/index.js';
import { choosePrior, chooseSubstitute, type LayerNeed } from '../prior-folders/choose-prior.js';
import { type FittedPrior, layerNeeds } from './layer-priors.js';

export interface LayerRow {
  name: string;
  kind: string;
  inputs: readonly string[];
  /** [h, w, channels] of images, [features] of vectors. */
  output: readonly number[];
  /** Trained numbers: weights, bias, scale, offset. */
  parameters: number;
  /** Of convolutions. */
  kernels?: { count: number; size: string; role?: string };
  multiplyAdds: number;
  /** Of convolutions where priors were given. */
  prior?: { paths: string[]; reason: string };
}

export interface NetworkTable {
  name: string;
  input: readonly [height: number, width: number, channels: number];
  classes: number;
  layers: LayerRow[];
  totals: { parameters: number; kernels: number; multiplyAdds: number };
}

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

/** @param offers fitted priors to choose from; none where nothing is to be said of priors */
export function describeNetwork(architecture: Architecture, offers: readonly FittedPrior[]): NetworkTable {
  const needs = layerNeeds(architecture);
  const layers = architecture.layers.map((layer): LayerRow => {
    const kind = kindOf(layer);
    const weights = kind.weights ? weightShape(layer) : undefined;
    const others = Object.values(kind.parameters(layer)).map(({ shape }) => product(shape));
    const row = {
      name: layer.name,
      kind: layer.kind,
      inputs: layer.inputs,
      output: layer.outputShape,
      parameters: sum([weights ? product(weights) : 0, ...others]),
      multiplyAdds: kind.multiplyAdds(layer),
    };
    if (!weights || !isConvolution(layer)) return row;
    const [out, inputs, h, w] = weights;
    const need = needs[layer.name];
    return {
      ...row,
      kernels: { count: out * inputs, size: `${h}x${w}`, ...(need.role && { role: need.role }) },
      ...(offers.length > 0 && { prior: priorOf(need, offers) }),
    };
  });
  const { input, classes, name } = architecture;
  return {
    name,
    input: [input.height, input.width, input.channels],
    classes,
    layers,
    totals: {
      parameters: sum(layers.map(({ parameters }) => parameters)),
      kernels: sum(layers.map(({ kernels }) => kernels?.count ?? 0)),
      multiplyAdds: sum(layers.map(({ multiplyAdds }) => multiplyAdds)),
    },
  };
}

/** What dwp train would choose with --fallback resample, and why. */
function priorOf(need: LayerNeed, offers: readonly FittedPrior[]): { paths: string[]; reason: string } {
  try {
    const choice = choosePrior(need, offers, false) ?? chooseSubstitute(need, offers);
    if (choice) return { paths: choice.offers.map(({ path }) => path), reason: choice.reason };
    return { paths: [], reason: 'none fits' };
  } catch (error) {
    if (error instanceof DwpError) return { paths: [], reason: `refused: ${error.message}` };
    throw error;
  }
}
