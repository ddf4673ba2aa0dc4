// p(w|z) of a gated VAE: one normal whose precision factor and offset are averages of those of a bank of normals, with
// weights that z decides (128), and whose scale z decides too. Given z there is no sum over the bank.
import { LOG_2PI } from '../../distributions/normal.js';
import { f32, tf } from '../../engine/index.js';
import type { Component } from '../mixture/em.js';
import { badParameter, requirePositive } from '../parameters.js';
import type { Arrays, Tensors } from '../prior.js';
import type { Layout } from './layout.js';

export const BANK = {
  factor: 'bank.factor', // [C, d, d], P_c: lower triangular, Σ_c⁻¹ = P_cᵀ P_c
  offset: 'bank.offset', // [C, d], P_c μ_c
  logWeight: 'bank.logWeight', // [C], of the fitted mixture
} as const;

/** What the steps learn of p(w|z). */
export const GATE = {
  slope: 'gate.slope', // [l − 1, C], a_c
  bias: 'gate.bias', // [C], b_c
  scaleSlope: 'gate.scaleSlope', // [C], α_c
  logScale: 'gate.logScale', // [C], β_c
} as const;

/**
 * Arrays of the gate are stored this many times larger than they are. Adam's steps are as large for all parameters: so
 * the gate, which starts well and which few kernels would make too sure of itself, moves slower than r(z|w).
 */
const SLOWER = 30;

/** Regions for components, and scales of about the tails of t with ν degrees of freedom. */
export function initialGate({ slopes, biases }: Layout, tails: number): Arrays {
  const c = biases.length;
  const stored = (shape: number[], values: Iterable<number>) =>
    f32(
      shape,
      Float32Array.from(values, (x) => SLOWER * x),
    );
  return {
    [GATE.slope]: stored(
      [slopes.length, c],
      slopes.flatMap((row) => Array.from(row)),
    ),
    [GATE.bias]: stored([c], biases),
    [GATE.scaleSlope]: stored([c], new Float64Array(c).fill(scaleSpread(tails))),
    [GATE.logScale]: f32([c]),
  };
}

/** Standard deviation of log s that gives normals about the tails of t with ν degrees of freedom. */
export const scaleSpread = (tails: number): number => 1 / Math.sqrt(2 * tails);

export const bankSize = (given: Arrays): number => Math.max(1, given[BANK.offset]?.shape[0] ?? 1);

export function bankShapes(given: Arrays, d: number, latent: number): Record<string, number[]> {
  const c = bankSize(given);
  return {
    [BANK.factor]: [c, d, d],
    [BANK.offset]: [c, d],
    [BANK.logWeight]: [c],
    [GATE.slope]: [latent - 1, c],
    [GATE.bias]: [c],
    [GATE.scaleSlope]: [c],
    [GATE.logScale]: [c],
  };
}

/** @throws DwpError INPUT when a factor is not lower triangular with a diagonal above 0: (128) would be no density */
export function checkBank(given: Arrays): void {
  const { data, shape } = given[BANK.factor];
  const [c, d] = shape;
  for (let i = 0; i < c; i++)
    for (let j = 0; j < d; j++) {
      const row = data.subarray((i * d + j) * d, (i * d + j + 1) * d);
      requirePositive(`${BANK.factor}'s diagonal`, [row[j]]);
      if (row.subarray(j + 1).some((x) => x !== 0))
        throw badParameter(`${BANK.factor} is not lower triangular`);
    }
}

export function storedBank(components: readonly Component[]): Arrays {
  const [c, d] = [components.length, components[0].mean.length];
  const factor = f32([c, d, d]);
  const offset = f32([c, d]);
  components.forEach(({ inverseCholesky, mean }, i) => {
    for (let j = 0; j < d; j++)
      for (let k = 0; k <= j; k++) {
        const value = inverseCholesky.get(j, k);
        factor.data[(i * d + j) * d + k] = value;
        offset.data[i * d + j] += value * mean[k];
      }
  });
  const logWeight = f32(
    [c],
    Float32Array.from(components, ({ logWeight }) => logWeight),
  );
  return { [BANK.factor]: factor, [BANK.offset]: offset, [BANK.logWeight]: logWeight };
}

/** The arrays of (128) as they are, of factors their lower triangles row by row, [C, d(d+1)/2]. */
export function plainBank(given: Arrays) {
  const [c, d] = given[BANK.factor].shape;
  const factor: number[] = [];
  for (let i = 0; i < c; i++)
    for (let j = 0; j < d; j++)
      factor.push(...given[BANK.factor].data.subarray((i * d + j) * d, (i * d + j) * d + j + 1));
  const of = (name: string) => Float32Array.from(given[name].data, (x) => x / SLOWER);
  return {
    c,
    factor: Float32Array.from(factor),
    offset: given[BANK.offset].data,
    slope: of(GATE.slope),
    bias: of(GATE.bias),
    scaleSlope: of(GATE.scaleSlope),
    logScale: of(GATE.logScale),
  };
}

/** y_c = P_c x − P_c μ_c, in which component c is standard: x [n, d] → [n, C, d]. */
export function bankCoordinates(parameters: Tensors, x: tf.Tensor): tf.Tensor {
  const [c, d] = parameters[BANK.factor].shape as [number, number];
  const factors = tf.reshape(parameters[BANK.factor], [c * d, d]);
  return tf.sub(tf.reshape(tf.matMul(x, factors, false, true), [-1, c, d]), parameters[BANK.offset]);
}

/** Diagonals of all P_c, [C, d]. */
const diagonals = (parameters: Tensors): tf.Tensor => {
  const factor = parameters[BANK.factor];
  return tf.sum(tf.mul(factor, tf.eye(factor.shape[1]!)), 2);
};

/** log det P_c, [C]. */
export const bankLogVolumes = (parameters: Tensors): tf.Tensor => tf.sum(tf.log(diagonals(parameters)), 1);

/** π(z) and log s(z) of (128): z [m, l] → [m, C] and [m, 1]. */
function gate(parameters: Tensors, z: tf.Tensor): { shares: tf.Tensor; logScale: tf.Tensor } {
  const place = parameters[GATE.slope].shape[0]!;
  const [where, size] = tf.split(z, [place, 1], 1);
  const of = (name: string) => tf.div(parameters[name], SLOWER);
  const shares = tf.softmax(tf.add(tf.matMul(where, of(GATE.slope)), of(GATE.bias)));
  const average = (name: string) => tf.sum(tf.mul(shares, of(name)), 1, true);
  return { shares, logScale: tf.add(tf.mul(average(GATE.scaleSlope), size), average(GATE.logScale)) };
}

/** log p(x|z), x straightened and given by its coordinates [n, C, d]: z [.., n, l] → [.., n]. */
export function bankLogLikelihood(parameters: Tensors, y: tf.Tensor, z: tf.Tensor): tf.Tensor {
  const [n, c, d] = y.shape as [number, number, number];
  const l = z.shape.at(-1)!;
  const byKernel = tf.transpose(tf.reshape(z, [-1, n, l]), [1, 0, 2]); // [n, K, l]
  const { shares, logScale } = gate(parameters, tf.reshape(byKernel, [-1, l]));
  const mixed = tf.matMul(tf.reshape(shares, [n, -1, c]), y); // [n, K, d], P(z) x − h(z)
  const square = tf.reshape(tf.sum(tf.square(mixed), 2), [-1, 1]); // [n·K, 1]
  const volume = tf.sum(tf.log(tf.matMul(shares, diagonals(parameters))), 1, true);
  // (128) log N: −½ e^{−2s} ‖P(z) x − h(z)‖² + log det P(z) − d s − ½ d log 2π, s = log scale
  const quadratic = tf.mul(tf.mul(square, tf.exp(tf.mul(logScale, -2))), -0.5);
  const value = tf.sub(tf.add(quadratic, volume), tf.add(tf.mul(logScale, d), 0.5 * d * LOG_2PI));
  return tf.reshape(tf.transpose(tf.reshape(value, [n, -1]), [1, 0]), z.shape.slice(0, -1));
}

/** Draws of p(x|z): the x with P(z) x = h(z) + s(z) ε, by forward substitution; z [n, l], ε [n, d] → [n, d]. */
export function drawFromBank(parameters: Tensors, z: tf.Tensor, noise: tf.Tensor): tf.Tensor {
  const [c, d] = parameters[BANK.factor].shape as [number, number];
  const { shares, logScale } = gate(parameters, z);
  const factor = tf.reshape(tf.matMul(shares, tf.reshape(parameters[BANK.factor], [c, d * d])), [-1, d, d]);
  const target = tf.add(tf.matMul(shares, parameters[BANK.offset]), tf.mul(tf.exp(logScale), noise)); // [n, d]
  let x: tf.Tensor | undefined; // [n, j]
  for (let j = 0; j < d; j++) {
    const row = tf.slice(factor, [0, j, 0], [-1, 1, j + 1]); // [n, 1, j + 1]
    const pivot = tf.reshape(tf.slice(row, [0, 0, j], [-1, 1, 1]), [-1, 1]);
    let rest = tf.slice(target, [0, j], [-1, 1]);
    if (x) {
      const known = tf.matMul(tf.slice(row, [0, 0, 0], [-1, 1, j]), tf.expandDims(x, 2)); // [n, 1, 1]
      rest = tf.sub(rest, tf.reshape(known, [-1, 1]));
    }
    const next = tf.div(rest, pivot);
    x = x ? tf.concat([x, next], 1) : next;
  }
  return x!;
}
