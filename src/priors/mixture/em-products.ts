// Expectation maximisation by matrix products in single precision, for many points. An iteration is a step of the engine
// over blocks of points; what is summed are moments of the coordinates in which each component is standard, so that they
// are of order 1 whatever the scale, and nothing is lost to rounding. Between the steps are doubles (em.ts).
import { type Engine, f32, type NdArray, type RandomStream, spec, tf } from '../../engine/index.js';
import type { Tensors } from '../prior.js';
import {
  type Component,
  type EmOptions,
  expectationMaximisation,
  logConstant,
  type Moments,
  maximise,
  type Points,
  startingMixture,
} from './em.js';

/** Multiplications of an iteration, n·K·d²: below it the loops of em.ts are as fast. */
const MANY = 5e6;
/** Numbers of y in a block, [K, rows, d]: enough for a run of the step to be worth its start. */
const BLOCK = 1_000_000;

/**
 * {@link expectationMaximisation}, by steps of the engine where there are many points: shares of points below `negligible`
 * are then counted, too.
 */
export async function fitByProducts(
  points: Points,
  given: EmOptions,
  stream: RandomStream,
  engine: Engine,
): Promise<Component[]> {
  const { count, size: d } = points;
  if (count * given.components * d * d < MANY) return expectationMaximisation(points, given, stream);
  const begun = startingMixture(points, given, stream);
  const { iterations, tolerance, components: k, dof } = begun.options;
  const blocks = blocksOf(points, Math.max(64, Math.floor(BLOCK / (k * d))));
  const step = await engine.compile(({ x, isPoint, ...mixture }) => blockSums(mixture, x, isPoint, dof), {
    inputs: {
      x: spec([blocks[0].x.shape[0], d]),
      isPoint: spec([blocks[0].x.shape[0]]),
      whitening: spec([k, d, d]),
      centre: spec([k, 1, d]),
      logVolume: spec([k, 1]),
    },
  });
  try {
    let { components } = begun;
    let before = Number.NEGATIVE_INFINITY;
    for (let t = 0; t < iterations; t++) {
      const mixture = arraysOf(components, dof);
      const sums = emptySums(k, d);
      for (const block of blocks) add(sums, await step.run({ ...mixture, ...block }));
      components = maximise(
        components.map((component, c) => momentsIn(component, sums, c)),
        count,
        begun.options,
      );
      const now = sums.logDensity[0] / count;
      if (now - before < tolerance) break;
      before = now;
    }
    return components;
  } finally {
    await step.release();
  }
}

/** Points in blocks of equal size, the last filled up with rows that do not count. */
function blocksOf({ data, count, size: d }: Points, largest: number): { x: NdArray; isPoint: NdArray }[] {
  const number = Math.ceil(count / largest);
  const rows = Math.ceil(count / number);
  return Array.from({ length: number }, (_, b) => {
    const [x, isPoint] = [f32([rows, d]), f32([rows])];
    for (let i = 0; i < rows; i++) {
      const row = b * rows + i;
      if (row >= count) continue;
      isPoint.data[i] = 1;
      for (let j = 0; j < d; j++) x.data[i * d + j] = data[row * d + j];
    }
    return { x, isPoint };
  });
}

/** W_cᵀ, Σ_c⁻¹ = W_cᵀ W_c, with W_c μ_c, and log w_c − log det L_c + the constant of the density. */
function arraysOf(components: readonly Component[], dof: number) {
  const [k, d] = [components.length, components[0].mean.length];
  const [whitening, centre, logVolume] = [f32([k, d, d]), f32([k, 1, d]), f32([k, 1])];
  components.forEach(({ inverseCholesky, mean, logWeight, logDeterminant }, c) => {
    for (let j = 0; j < d; j++) {
      let sum = 0;
      for (let l = 0; l <= j; l++) {
        const value = inverseCholesky.get(j, l);
        whitening.data[(c * d + l) * d + j] = value;
        sum += value * mean[l];
      }
      centre.data[c * d + j] = sum;
    }
    logVolume.data[c] = logWeight - logDeterminant + logConstant(dof, d);
  });
  return { whitening, centre, logVolume };
}

/** What (52) and its shares make of a block: x [n, d] → sums over its rows. */
function blockSums({ whitening, centre, logVolume }: Tensors, x: tf.Tensor, isPoint: tf.Tensor, dof: number) {
  const d = x.shape[1]!;
  const y = tf.sub(tf.matMul(tf.expandDims(x, 0), whitening), centre); // [K, n, d], W_c (x − μ_c)
  const squares = tf.sum(tf.square(y), 2); // [K, n]
  const isNormal = !Number.isFinite(dof);
  const falling = isNormal
    ? tf.mul(squares, 0.5)
    : tf.mul(tf.log(tf.add(tf.div(squares, dof), 1)), 0.5 * (dof + d));
  const logs = tf.sub(logVolume, falling);
  const logDensity = tf.logSumExp(logs, 0); // [n]
  const shares = tf.mul(tf.exp(tf.sub(logs, logDensity)), isPoint);
  const r = isNormal ? shares : tf.mul(shares, tf.div(dof + d, tf.add(squares, dof)));
  const weighted = tf.mul(y, tf.expandDims(r, 2));
  return {
    logDensity: tf.reshape(tf.sum(tf.mul(logDensity, isPoint)), [1]),
    mass: tf.sum(shares, 1), // [K]
    weight: tf.sum(r, 1), // [K]
    first: tf.sum(weighted, 1), // [K, d], Σ r y
    second: tf.matMul(weighted, y, true, false), // [K, d, d], Σ r y yᵀ
  };
}

type Sums = Record<'logDensity' | 'mass' | 'weight' | 'first' | 'second', Float64Array>;

const emptySums = (k: number, d: number): Sums => ({
  logDensity: new Float64Array(1),
  mass: new Float64Array(k),
  weight: new Float64Array(k),
  first: new Float64Array(k * d),
  second: new Float64Array(k * d * d),
});

function add(sums: Sums, block: Record<keyof Sums, { data: ArrayLike<number> }>): void {
  for (const name of Object.keys(sums) as (keyof Sums)[]) {
    const { data } = block[name];
    for (let i = 0; i < data.length; i++) sums[name][i] += data[i];
  }
}

/** Moments of component c in its coordinates as those of points: x = μ + L y. */
function momentsIn({ mean, lower }: Component, { mass, weight, first, second }: Sums, c: number): Moments {
  const d = mean.length;
  const total = weight[c] || 1;
  const centre = first.subarray(c * d, (c + 1) * d).map((x) => x / total); // of y
  const own = new Float64Array(d * d); // Σ r (y − centre)(y − centre)ᵀ, of which the lower triangle is L times it times Lᵀ
  for (let j = 0; j < d; j++)
    for (let l = 0; l < d; l++)
      own[j * d + l] = second[(c * d + j) * d + l] - weight[c] * centre[j] * centre[l];
  const half = new Float64Array(d * d);
  for (let j = 0; j < d; j++)
    for (let m = 0; m <= j; m++) {
      const factor = lower.get(j, m);
      for (let l = 0; l < d; l++) half[j * d + l] += factor * own[m * d + l];
    }
  const scatter = new Float64Array(d * d);
  for (let j = 0; j < d; j++)
    for (let l = 0; l <= j; l++) {
      let sum = 0;
      for (let m = 0; m <= l; m++) sum += half[j * d + m] * lower.get(l, m);
      scatter[j * d + l] = sum;
    }
  const moved = Float64Array.from(mean);
  for (let j = 0; j < d; j++) for (let m = 0; m <= j; m++) moved[j] += lower.get(j, m) * centre[m];
  return { mass: mass[c], mean: moved, scatter };
}
