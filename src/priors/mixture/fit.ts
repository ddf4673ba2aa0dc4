// From kernels to the arrays of a mixture: components chosen on held-out kernels, several fits averaged, norms
// straightened first.
import { foldIn, type Key, RandomStream } from '../../engine/index.js';
import type { Arrays, Tick } from '../prior.js';
import { storedComponents } from './components.js';
import type { Points } from './em.js';
import { fitRadial, RADIAL, straightened } from './radial.js';
import { chooseComponents, fitMembers } from './select.js';

/** Points that the covariance within components is worth; between 1 and 50 it hardly matters. */
export const SHRINKAGE = 5;

export interface MixtureOptions {
  /** Given, or chosen on held-out kernels. */
  components?: number;
  members: number;
  dof: number;
}

export async function fitMixture(
  points: Points,
  { components, members, dof }: MixtureOptions,
  key: Key,
  tick: Tick,
): Promise<Arrays> {
  const options = { dof, shrinkage: SHRINKAGE };
  const count = components ?? (await chooseComponents(points, options, foldIn(key, 'choose'), tick));
  return storedComponents(await fitMembers(points, count, members, options, foldIn(key, 'members'), tick));
}

/** The same of kernels whose norms are straightened before (radial.ts). */
export async function fitStraightMixture(
  points: Points,
  options: MixtureOptions,
  key: Key,
  tick: Tick,
): Promise<Arrays> {
  const knots = fitRadial(points, new RandomStream(foldIn(key, 'radial')));
  return { [RADIAL]: knots, ...(await fitMixture(straightened(points, knots), options, key, tick)) };
}
