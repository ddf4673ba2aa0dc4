// Two layers of latents (Sønderby et al. 2016, with an encoder of independent parts): z = [z₁, z₂], and
// p(z) = p(z₁|z₂) N(z₂ | 0, I), where a network of z₂ says mean and width of z₁ (121). Starts at N(0, I).
import {
  type DiagonalNormal,
  klBetween,
  klToStandard,
  logDensity,
  logStandardDensity,
  reparameterise,
} from '../../distributions/normal.js';
import { f32, type Key, spec, tf } from '../../engine/index.js';
import { usageError } from '../../errors.js';
import { stack, stackParameters } from '../dense-stack.js';
import type { Arrays, Tensors } from '../prior.js';
import type { LatentPrior } from './latent-prior.js';

const NETWORK = 'latent.upper';
const HIDDEN = 64;
/** log s of z₁ stays between −4 and 4. */
const MOST_LOG_STD = 4;

/** Sizes of z₁ and z₂. */
const parts = (latentSize: number): [number, number] => [
  Math.ceil(latentSize / 2),
  Math.floor(latentSize / 2),
];

function network(latentSize: number, key: Key): Arrays {
  const [first, second] = parts(latentSize);
  const arrays = stackParameters(NETWORK, [second, HIDDEN, 2 * first], key);
  const last = `${NETWORK}.out.kernel`;
  return { ...arrays, [last]: f32(arrays[last].shape) };
}

/** p(z₁|z₂): z₂ [.., l₂] → [.., l₁]. */
function given(parameters: Tensors, second: tf.Tensor): DiagonalNormal {
  const rows = tf.reshape(second, [-1, second.shape.at(-1)!]) as tf.Tensor2D;
  const out = stack(parameters, NETWORK, rows);
  const [mean, raw] = tf
    .split(out, 2, 1)
    .map((x) => tf.reshape(x, [...second.shape.slice(0, -1), x.shape[1]!]));
  return { mean, logStd: tf.mul(tf.tanh(tf.div(raw, MOST_LOG_STD)), MOST_LOG_STD) };
}

const cut = (x: tf.Tensor) => tf.split(x, parts(x.shape.at(-1)!), -1);

export const hierarchical: LatentPrior = {
  name: 'hierarchical',
  summary: 'two layers p(z₁|z₂) p(z₂), of which the first is learned',
  initial(_rows, _components, key, latentSize) {
    if (latentSize < 2)
      throw usageError(
        `--latent ${latentSize} is too small for a hierarchical p(z)`,
        'its two layers need at least 2',
      );
    return { trainable: network(latentSize, key), fixed: {}, resampled: {} };
  },
  shapes: (_given, _size, latentSize) =>
    Object.fromEntries(
      Object.entries(network(Math.max(2, latentSize), [0, 0, 0, 1])).map(([name, { shape }]) => [
        name,
        shape,
      ]),
    ),
  components: () => 1,
  noise: (n, latentSize) => ({ latent: spec([n, latentSize]) }),
  of: (parameters) => ({
    // (121) log p(z) = log p(z₁|z₂) + log N(z₂ | 0, I)
    logDensity(z) {
      const [first, second] = cut(z);
      return tf.add(logDensity(first, given(parameters, second)), logStandardDensity(second));
    },
    // (122) of the z₂ that r has drawn; z₁ is not needed
    negativeDivergence({ mean, logStd }, z) {
      const [, second] = cut(z);
      const [[mean1, mean2], [logStd1, logStd2]] = [cut(mean), cut(logStd)];
      return tf.neg(
        tf.add(
          klBetween({ mean: mean1, logStd: logStd1 }, given(parameters, second)),
          klToStandard({ mean: mean2, logStd: logStd2 }),
        ),
      );
    },
    sample({ latent }) {
      const [first, second] = cut(latent);
      return tf.concat([reparameterise(given(parameters, second), first), second], -1);
    },
  }),
};
