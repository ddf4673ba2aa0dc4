// Every family of kernel priors: a new one is one file and one line.

import { inputError } from '../errors.js';
import { correlated } from './correlated.js';
import { currentChoice } from './earlier.js';
import { external } from './external.js';
import { flow } from './flow.js';
import { gaussian } from './gaussian.js';
import { kernelDensity } from './kernel-density.js';
import { laplace } from './laplace.js';
import { logUniform } from './log-uniform.js';
import { mixed } from './mixed.js';
import { mixture } from './mixture.js';
import { normal } from './normal.js';
import {
  type Arrays,
  type KernelPrior,
  type KernelSize,
  numbersIn,
  type PriorChoice,
  type PriorComposition,
  type PriorFamily,
  type StoredFamily,
} from './prior.js';
import { scaleMixture } from './scale-mixture.js';
import { scaled } from './scaled.js';
import { structured } from './structured.js';
import { studentT } from './student-t.js';
import { vae } from './vae.js';
import { vaePixels } from './vae-pixels.js';

export { ADAPTATIONS, type Adaptation, adaptPrior } from './adapt.js';
export { LOG_WEIGHT, mixPriors } from './mixed.js';
export { isotropicNormal } from './normal.js';
export * from './prior.js';
export { LOG_SCALE, scalePrior } from './scaled.js';

/** From the richest to the plainest. */
const all: readonly PriorFamily[] = [
  vae,
  mixture,
  vaePixels,
  flow,
  kernelDensity,
  studentT,
  scaleMixture,
  gaussian,
  structured,
  correlated,
  laplace,
  normal,
  logUniform,
];

/** Those that can be fitted, by name; a program may add families of its own. */
export const families: Map<string, PriorFamily> = new Map(all.map((family) => [family.name, family]));

/** Of a prior that a folder holds, which may be an imported one. */
const storedFamily = (name: string): StoredFamily | undefined =>
  name === external.name ? external : families.get(name);

/** Priors that are made of others. */
const compositions: ReadonlyMap<string, PriorComposition> = new Map<string, PriorComposition>([
  [mixed.name, mixed],
  [scaled.name, scaled],
]);

/**
 * A prior of its description and arrays.
 * @throws DwpError INPUT when there is no such family, or configuration or arrays are not right
 */
export function makePrior(choice: PriorChoice, size: KernelSize, parameters: Arrays): KernelPrior {
  const { family: name, config } = currentChoice(choice);
  const family = storedFamily(name);
  const composition = compositions.get(name);
  if (!family && !composition)
    throw inputError(
      `unknown family ${name}`,
      `known: ${[...families.keys(), external.name, ...compositions.keys()].join(', ')}`,
    );
  const schema = family ? (family.storedConfig ?? family.config) : composition!.config;
  const parsed = schema.safeParse(config);
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues;
    throw inputError(`config.${path.join('.')}: ${message}`, 'the prior folder is damaged');
  }
  return family
    ? family.prior(size, parsed.data, parameters)
    : composition!.prior(size, parsed.data, parameters, makePrior);
}

/** Numbers that the fit of a prior chose: its parameters, none of them counted twice. */
export function freeNumbers({ family: name, size, config, parameters }: KernelPrior): number {
  const family = storedFamily(name);
  return family?.freeNumbers?.(size, family.config.parse(config), parameters) ?? numbersIn(parameters);
}
