// How many components a mixture gets, and mixtures of several fits. Numbers of components are tried from few to many, as
// long as held-out points gain; fits from different starts are averaged, which costs nothing where they agree and keeps
// what they do not agree on from being trusted.
import { foldIn, type Key, RandomStream } from '../../engine/index.js';
import type { FitWork } from '../prior.js';
import { type Component, meanLogDensity, type Points } from './em.js';
import { fitByProducts } from './em-products.js';
import { foldsOf } from './ridge.js';
import { take } from './take.js';

const LADDER = [1, 4, 8, 16, 24, 32, 48];
const ITERATIONS = 15;
/** Averaged fits bear this many times the components that one of them does best with. */
const MORE_IN_MEMBERS = 1.5;
/** Multiplications of an iteration, n·K·d²/2: beyond it a fit takes a random part of the points. */
const WORK = 2e9;
/** Points of a fit: more change the mixture little. */
const MOST_ROWS = 50_000;
const HELD_OUT = 0.1;
/** Fewer points than this are all held out once, in folds: a tenth of them says too little. */
const FEW = 500;
/** Points that a component must have. */
const PER_COMPONENT = 8;

const rowsFor = (count: number, k: number, d: number) =>
  Math.min(count, MOST_ROWS, Math.max(4 * d, Math.floor(WORK / (k * 0.5 * d * d))));

const part = (points: Points, k: number, stream: RandomStream): Points => {
  const rows = rowsFor(points.count, k, points.size);
  return rows === points.count ? points : take(points, stream.permutation(points.count).subarray(0, rows));
};

export interface SelectOptions {
  dof: number;
  shrinkage: number;
  /** λ of {@link chooseRidge}. */
  ridge: number;
}

/** The number of components whose fit gives points held out most: a tenth, or of few points each fold. */
export async function chooseComponents(
  points: Points,
  options: SelectOptions,
  key: Key,
  { engine, tick }: FitWork,
): Promise<number> {
  if (points.count < 2 * PER_COMPONENT) return 1;
  const stream = new RandomStream(foldIn(key, 'order'));
  const splits = points.count < FEW ? foldsOf(points, stream) : [tenthOf(points, stream)];
  let best = { components: 1, logDensity: Number.NEGATIVE_INFINITY };
  for (const components of LADDER.filter((k) => k === 1 || PER_COMPONENT * k <= splits[0].train.count)) {
    const stream = new RandomStream(foldIn(key, 'try', components));
    let logDensity = 0;
    for (const { train, test } of splits) {
      const fit = await fitByProducts(
        part(train, components, stream),
        { ...options, components, iterations: ITERATIONS },
        stream,
        engine,
      );
      logDensity += meanLogDensity(test, fit, options.dof) / splits.length;
    }
    await tick(`${components} components: ${logDensity.toFixed(2)} nats on held-out kernels`);
    if (logDensity < best.logDensity) break;
    best = { components, logDensity };
  }
  return best.components;
}

const tenthOf = (points: Points, stream: RandomStream) => {
  const order = stream.permutation(points.count);
  const held = Math.min(2000, Math.max(1, Math.round(HELD_OUT * points.count)));
  return { test: take(points, order.subarray(0, held)), train: take(points, order.subarray(held)) };
};

/** Components of `members` fits from different starts, each fit as likely; `components` is the best number for one. */
export async function fitMembers(
  points: Points,
  { components, members }: { components: number; members: number },
  options: SelectOptions,
  key: Key,
  { engine, tick }: FitWork,
): Promise<Component[]> {
  const all: Component[] = [];
  const most = Math.max(components, Math.floor(points.count / PER_COMPONENT));
  const each = members > 1 ? Math.min(most, Math.round(MORE_IN_MEMBERS * components)) : components;
  const different = each === 1 ? 1 : members; // those of one component would all be the same
  for (let member = 0; member < different; member++) {
    const stream = new RandomStream(foldIn(key, 'member', member));
    const fit = await fitByProducts(
      part(points, each, stream),
      { ...options, components: each, iterations: ITERATIONS },
      stream,
      engine,
    );
    all.push(...fit.map((c) => ({ ...c, logWeight: c.logWeight - Math.log(different) })));
    await tick(`mixture ${member + 1} of ${different}`);
  }
  return all;
}
