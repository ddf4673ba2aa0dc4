// Images [h, w, channels] as vectors, channels last: features lie in the order [h, w, channels].
import { z } from 'zod';
import { tf } from '../../engine/index.js';
import { type LayerKind, noArrays } from '../layer.js';

export const flatten: LayerKind<Record<never, never>> = {
  kind: 'flatten',
  options: z.strictObject({}),
  inputs: 'one',
  shape: (_, [input]) => [input.reduce((a, b) => a * b, 1)],
  apply: (_, [x]) => ({ output: tf.reshape(x, [x.shape[0]!, -1]) }),
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx(g, { outputShape, inputShapes: [input] }, [x]) {
    const channelsLast =
      input.length === 3 ? g.emit1('Transpose', [x], [-1, ...input], { perm: [0, 2, 3, 1] }) : x;
    return g.emit1('Flatten', [channelsLast], [-1, outputShape[0]], { axis: 1 });
  },
};
