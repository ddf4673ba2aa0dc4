// Layers of several inputs: their sum, or their channels side by side.
import { z } from 'zod';
import { tf } from '../../engine/index.js';
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
