// Every family of kernel priors: a new one is one file and one line.
import { correlated } from './correlated.js';
import { external } from './external.js';
import { flow } from './flow.js';
import { gaussian } from './gaussian.js';
import { laplace } from './laplace.js';
import { logUniform } from './log-uniform.js';
import { mixture } from './mixture.js';
import { normal } from './normal.js';
import type { PriorFamily, StoredFamily } from './prior.js';
import { scaleMixture } from './scale-mixture.js';
import { studentT } from './student-t.js';
import { vae } from './vae.js';

export { isotropicNormal } from './normal.js';
export * from './prior.js';

export const families: Readonly<Record<string, PriorFamily>> = Object.fromEntries(
  [vae, mixture, flow, studentT, scaleMixture, gaussian, correlated, laplace, normal, logUniform].map(
    (family) => [family.name, family as unknown as PriorFamily],
  ),
);

/** Those that a folder may hold: imported ones, too. */
export const storedFamilies: Readonly<Record<string, StoredFamily>> = {
  ...families,
  external: external as unknown as StoredFamily,
};
