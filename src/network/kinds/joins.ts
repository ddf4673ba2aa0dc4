// Layers of several inputs: their sum, their product, or their channels side by side.
import { z } from 'zod';
import { tf } from '../../engine/index.js';
import { sizeOf } from '../../formats/shape.js';
import { type ExampleShape, type LayerKind, noArrays, onnxShape, ShapeError } from '../layer.js';

const text = (shapes: readonly ExampleShape[]) =>
  shapes.map((shape) => `[${shape.join(', ')}]`).join(' and ');

const none = z.strictObject({});
type None = Record<never, never>;

/** A sum, as of a residual block. */
export const add: LayerKind<None> = {
  kind: 'add',
  options: none,
  inputs: 'several',
  shape(_, inputs) {
    if (inputs.some((shape) => `${shape}` !== `${inputs[0]}`))
      throw new ShapeError(`its inputs must have one shape, they have ${text(inputs)}`);
    return inputs[0];
  },
  apply: (_, inputs) => ({ output: inputs.reduce((a, b) => tf.add(a, b)) }),
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx: (g, { outputShape }, inputs) =>
    inputs.reduce((a, b) => g.emit1('Add', [a, b], onnxShape(outputShape))),
};

/** Channels of all inputs, one after the other. */
export const concat: LayerKind<None> = {
  kind: 'concat',
  options: none,
  inputs: 'several',
  shape(_, inputs) {
    if (inputs.some((shape) => `${shape.slice(0, -1)}` !== `${inputs[0].slice(0, -1)}`))
      throw new ShapeError(`its inputs must have one height and width, they have ${text(inputs)}`);
    return [...inputs[0].slice(0, -1), inputs.reduce((sum, shape) => sum + shape.at(-1)!, 0)];
  },
  apply: (_, inputs) => ({ output: tf.concat([...inputs], inputs[0].rank - 1) }),
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx: (g, { outputShape }, inputs) => g.emit1('Concat', inputs, onnxShape(outputShape), { axis: 1 }),
};

/** A product, as of a gate: a vector [c] or an image [1, 1, c] is the factor of each channel of an image [h, w, c]. */
export const multiply: LayerKind<None> = {
  kind: 'multiply',
  options: none,
  inputs: 'several',
  shape(_, inputs) {
    const [whole] = [...inputs].sort((a, b) => sizeOf(b) - sizeOf(a));
    const ofChannels = (shape: ExampleShape) =>
      shape.at(-1) === whole.at(-1) && shape.slice(0, -1).every((side) => side === 1);
    if (!inputs.every((shape) => `${shape}` === `${whole}` || ofChannels(shape)))
      throw new ShapeError(
        `its inputs must have one shape or be factors of channels, they have ${text(inputs)}`,
      );
    return whole.length === 1 ? (inputs.find((shape) => shape.length === 3) ?? whole) : whole;
  },
  apply({ outputShape }, inputs) {
    const spread = (x: tf.Tensor) =>
      outputShape.length === 3 && x.rank === 2 ? tf.reshape(x, [x.shape[0]!, 1, 1, x.shape[1]!]) : x;
    return { output: inputs.map(spread).reduce((a, b) => tf.mul(a, b)) };
  },
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx(g, { outputShape, inputShapes }, inputs) {
    const spread = (x: (typeof inputs)[number], i: number) => {
      const [features] = inputShapes[i];
      return outputShape.length === 3 && inputShapes[i].length === 1
        ? g.emit1('Reshape', [x, g.int64([0, features, 1, 1])], [-1, features, 1, 1])
        : x;
    };
    return inputs.map(spread).reduce((a, b) => g.emit1('Mul', [a, b], onnxShape(outputShape)));
  },
};
