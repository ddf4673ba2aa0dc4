// Dense encoder and decoder: two hidden layers of ELU each.
import { foldIn } from '../../engine/index.js';
import { stack, stackParameters } from '../dense-stack.js';
import { kernelLength } from '../prior.js';
import type { PixelNetworks } from './networks.js';

export const denseNetworks: PixelNetworks = {
  initial(size, { latent, hidden, variance }, key) {
    const d = kernelLength(size);
    return {
      ...stackParameters('encoder', [d, hidden, 2 * latent], foldIn(key, 'encoder')),
      ...stackParameters(
        'decoder',
        [latent, hidden, variance === 'latent' ? 2 * d : d],
        foldIn(key, 'decoder'),
      ),
    };
  },
  encode: (parameters, u) => stack(parameters, 'encoder', u),
  decode: (parameters, z) => stack(parameters, 'decoder', z),
};
