// Priors of earlier versions: what their families are called now.
import { inputError } from '../errors.js';
import type { PriorChoice } from './prior.js';

/**
 * A family `vae` with networks is what vae-pixels is now.
 * @throws DwpError INPUT for a VAE over a mixture, which there is none of any more
 */
export function currentChoice({ family, config }: PriorChoice): PriorChoice {
  if (family !== 'vae' || !('networks' in config)) return { family, config };
  const { whitening = 'none', members: _, tails: __, ...pixels } = config;
  if (whitening !== 'none')
    throw inputError(
      'config.whitening: a VAE over a mixture, which this version does not read',
      'fit the prior again: --family mixture is nearly the same density, --family vae has a latent variable',
    );
  return { family: 'vae-pixels', config: pixels };
}
