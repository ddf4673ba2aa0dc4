// All proofs of the bounds, numbered as in docs/math.md, section 7.
import { chains } from './chains.js';
import { evidence } from './evidence.js';
import { gradients } from './gradients.js';
import { lower } from './lower.js';
import { mixtures } from './mixtures.js';
import type { Proof } from './proof.js';
import { shared } from './shared.js';
import { upper } from './upper.js';

const numbered = (letter: string, proofs: readonly Proof[]) =>
  proofs.map((proof, i) => ({ ...proof, id: `${letter}${i + 1}` }));

/**
 * L: log p(w) from below. U: log q(w) from above. N: the bound of a network. G: gradients. C: gradients by
 * chains. S: weights that share ζ. M: p(z) made by an encoder, and (27). */
export const proofs: readonly (Proof & { id: string })[] = [
  ...numbered('L', lower),
  ...numbered('U', upper),
  ...numbered('N', evidence),
  ...numbered('G', gradients),
  ...numbered('C', chains),
  ...numbered('S', shared),
  ...numbered('M', mixtures),
];
