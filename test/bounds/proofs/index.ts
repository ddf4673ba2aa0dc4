// All proofs of the bounds, numbered as in docs/math.md, section 7.
import { chains } from './chains.js';
import { evidence } from './evidence.js';
import { gradients } from './gradients.js';
import { lower } from './lower.js';
import type { Proof } from './proof.js';
import { upper } from './upper.js';

const numbered = (letter: string, proofs: readonly Proof[]) =>
  proofs.map((proof, i) => ({ ...proof, id: `${letter}${i + 1}` }));

/** L: log p(w) from below. U: log q(w) from above. N: the bound of a network. G: gradients. C: gradients by chains. */
export const proofs: readonly (Proof & { id: string })[] = [
  ...numbered('L', lower),
  ...numbered('U', upper),
  ...numbered('N', evidence),
  ...numbered('G', gradients),
  ...numbered('C', chains),
];
