// What a layer is, as plain data, and what a kind of layer says of its layers. A kind is one file of kinds/, with the
// same parts in the same order: options, shape, weights or apply, parameters, state, multiplyAdds, toOnnx.
import type { z } from 'zod';
import type { Arrays, Graph, NdArray, Specs, Tensors, tf, Value } from '../engine/index.js';

/** Shape of what a layer makes of one example: [h, w, channels] of images, [features] of vectors. */
export type ExampleShape = readonly number[];

/** Weights of a layer as priors and posteriors hold them: [out, in of a group, h, w]. */
export type WeightShape = readonly [out: number, inputs: number, h: number, w: number];

/** The name by which layers read the images. */
export const IMAGES = 'images';

export interface Layer<Options = unknown> {
  name: string;
  kind: string;
  options: Options;
  /** Names of the layers that it reads, or {@link IMAGES}. */
  inputs: readonly string[];
  inputShapes: readonly ExampleShape[];
  outputShape: ExampleShape;
  /** Its weights have a prior and a posterior; without, they are ordinary parameters. */
  random?: boolean;
  /** Input channels that one kernel of its prior spans: consecutive ones of an output. 1 unless given. */
  span?: number;
}

/** An array and the number that all its elements start at. */
export interface Filled {
  shape: ExampleShape;
  start: number;
}

/**
 * `training`: dropout drops, statistics are those of the batch, and running averages follow them. `statistics`: as in
 * training, without dropout, to learn the statistics of the batch. `prediction`: statistics are those that are given.
 */
export type Mode = 'training' | 'statistics' | 'prediction';

/** What a layer without weights is given beside its inputs. */
export interface LayerContext {
  /** The layer's own parameters. */
  parameters: Tensors;
  /** The layer's own running averages. */
  state: Tensors;
  /** Standard normals as `noise` of the kind asks for them; none outside of training. */
  noise: Tensors;
  mode: Mode;
}

export interface LayerResult {
  /** [n, ...shape] */
  output: tf.Tensor;
  /** The next running averages in training; the statistics of the batch in the mode `statistics`. */
  state?: Tensors;
}

/** How the weights of a kind act; biases are added by {@link forward}. */
export interface Weighted<Options> {
  /** Whether they have a posterior unless somebody says otherwise. */
  random: boolean;
  shape(layer: Layer<Options>): WeightShape;
  /** x [n, ...input] through the layer with weights [out, in, h, w], without its bias: [n, ...output]. */
  apply(layer: Layer<Options>, x: tf.Tensor, weights: tf.Tensor): tf.Tensor;
}

export interface LayerKind<Options = unknown> {
  readonly kind: string;
  /** With defaults; each field's description is its documentation. */
  readonly options: z.ZodType<Options>;
  readonly inputs: 'one' | 'several';
  /**
   * Shape of the output.
   * @throws ShapeError for inputs that do not fit
   */
  shape(options: Options, inputs: readonly ExampleShape[]): ExampleShape;
  readonly weights?: Weighted<Options>;
  /** Of kinds without weights. */
  apply?(layer: Layer<Options>, inputs: readonly tf.Tensor[], context: LayerContext): LayerResult;
  /** Standard normals that one batch of training needs. */
  noise?(layer: Layer<Options>, batch: number): Specs;
  /** Trained parameters beside the weights. */
  parameters(layer: Layer<Options>): Readonly<Record<string, Filled>>;
  /** Running averages. */
  state(layer: Layer<Options>): Readonly<Record<string, Filled>>;
  /** Multiplications with an addition of one example, those of weights alone. */
  multiplyAdds(layer: Layer<Options>): number;
  /**
   * Its nodes in a graph of ONNX, whose images are [n, c, h, w].
   * @param arrays parameters, running averages, and `weights` [out, in, h, w] where the kind has them
   */
  toOnnx(g: Graph, layer: Layer<Options>, inputs: readonly Value[], arrays: Arrays): Value;
}

/** Inputs of a layer do not fit it; {@link buildArchitecture} says which layer's. */
export class ShapeError extends Error {}

/** @throws ShapeError when the shape is not that of an image */
export function imageShape(shape: ExampleShape): readonly [h: number, w: number, channels: number] {
  if (shape.length !== 3)
    throw new ShapeError(`it needs images [h, w, channels], its input is [${shape.join(', ')}]`);
  return shape as [number, number, number];
}

/** Shape of a batch in ONNX's layout: [h, w, c] → [-1, c, h, w], [features] → [-1, features]. */
export const onnxShape = (shape: ExampleShape): number[] =>
  shape.length === 3 ? [-1, shape[2], shape[0], shape[1]] : [-1, ...shape];

/** Parameters or running averages of a layer that has none. */
export const noArrays = (): Readonly<Record<string, Filled>> => ({});

/** An array as a constant of an ONNX graph. */
export const onnxConstant = (g: Graph, { data, shape }: NdArray): Value =>
  g.constant(Float32Array.from(data), shape, 'float32');
