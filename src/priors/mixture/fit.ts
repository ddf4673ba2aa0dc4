// From kernels to the arrays of a mixture: components chosen on held-out kernels, several fits averaged, norms
// straightened first.
import { foldIn, type Key, type NdArray, RandomStream } from '../../engine/index.js';
import type { Arrays, FitWork } from '../prior.js';
import { storedComponents } from './components.js';
import { type Component, componentOf, type Points } from './em.js';
import { secondMoment } from './linear-algebra.js';
import { drawnLogNorms, fitRadial, isIdentity, RADIAL, straightened } from './radial.js';
import { chooseRidge } from './ridge.js';
import { chooseComponents, fitMembers } from './select.js';

/** Points that the covariance within components is worth; between 1 and 50 it hardly matters. */
export const SHRINKAGE = 5;

/** Numbers of a kernel up to which full covariances of many components are found in seconds. */
export const LONGEST_QUICK = 128;

export interface MixtureOptions {
  /** Given, or chosen on held-out kernels. */
  components?: number;
  members: number;
  dof: number;
}

/** Components as arrays of a prior; of kernels whose norms are straightened before, with the knots of that map. */
export async function fitMixture(
  points: Points,
  { straighten, ...options }: MixtureOptions & { straighten: boolean },
  key: Key,
  work: FitWork,
): Promise<Arrays> {
  if (!straighten) return storedComponents(await fitComponents(points, options, key, work));
  const { components, knots } = await fitStraightComponents(points, options, key, work);
  return { [RADIAL]: knots, ...storedComponents(components) };
}

async function fitComponents(
  points: Points,
  { components, members, dof }: MixtureOptions,
  key: Key,
  work: FitWork,
): Promise<Component[]> {
  const ridge = chooseRidge(points, new RandomStream(foldIn(key, 'ridge')));
  const options = { dof, shrinkage: SHRINKAGE, ridge };
  const count = components ?? (await chooseComponents(points, options, foldIn(key, 'choose'), work));
  return fitMembers(points, { components: count, members }, options, foldIn(key, 'members'), work);
}

/**
 * The same of kernels whose norms are straightened before (radial.ts): to those of a normal, so that components need
 * not share norms out among them; and, once the mixture is fitted, to its own, so that its samples have the kernels'.
 */
export async function fitStraightComponents(
  points: Points,
  options: MixtureOptions,
  key: Key,
  work: FitWork,
): Promise<{ components: Component[]; knots: NdArray }> {
  const straight = fitRadial(points, () =>
    drawnLogNorms([normalOf(points)], Number.POSITIVE_INFINITY, new RandomStream(foldIn(key, 'radial'))),
  );
  const components = await fitComponents(straightened(points, straight), options, key, work);
  if (isIdentity(straight)) return { components, knots: straight };
  const remade = fitRadial(points, () =>
    drawnLogNorms(components, options.dof, new RandomStream(foldIn(key, 'norms'))),
  );
  return { components, knots: isIdentity(remade) ? straight : remade };
}

/** N(0, E wwᵀ) */
function normalOf(points: Points): Component {
  const { size: d } = points;
  const second = secondMoment(points, d);
  const jitter = (1e-9 * second.trace()) / d + Number.MIN_VALUE;
  for (let j = 0; j < d; j++) second.set(j, j, second.get(j, j) + jitter);
  return componentOf(0, new Float64Array(d), second);
}
