// Every family of kernel priors: a new one is one file and one line.
import { gaussian } from './gaussian.js';
import { normal } from './normal.js';
import type { PriorFamily } from './prior.js';
import { vae } from './vae.js';

export { isotropicNormal } from './normal.js';
export * from './prior.js';

export const families: Readonly<Record<string, PriorFamily>> = Object.fromEntries(
  [vae, gaussian, normal].map((family) => [family.name, family as unknown as PriorFamily]),
);
