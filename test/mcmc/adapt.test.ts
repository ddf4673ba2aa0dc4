// Warm-up of chains: the step size that gives an acceptance, and scales from draws.
import { expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import {
  adaptedSteps,
  addPosition,
  beginSteps,
  type Evaluate,
  hamiltonianMove,
  noMoments,
  type Point,
  scaleFrom,
  windowAt,
} from '../../src/mcmc/index.js';

test('(63) finds the step of the wanted acceptance, and the mean over late steps is steadier than the steps', () => {
  // acceptance exp(−ε): 0.8 at ε = −log 0.8, seen with noise
  const stream = new RandomStream(seedKey(910));
  let state = beginSteps(Math.log(5));
  const steps: number[] = [];
  const means: number[] = [];
  for (let t = 0; t < 2000; t++) {
    const noise = 0.2 * (stream.uniform() - 0.5);
    state = adaptedSteps(state, Math.exp(-Math.exp(state.logStep)) + noise, 0.8);
    if (t >= 1000) {
      steps.push(state.logStep);
      means.push(state.meanLogStep);
    }
  }
  const wanted = Math.log(-Math.log(0.8));
  const deviation = (x: number[]) => Math.sqrt(x.reduce((sum, v) => sum + (v - wanted) ** 2, 0) / x.length);
  expect(Math.abs(state.meanLogStep - wanted)).toBeLessThan(0.1);
  expect(deviation(means)).toBeLessThan(0.7 * deviation(steps));
});

test('(64) is the deviation of many draws, and the prior’s of none', () => {
  const stream = new RandomStream(seedKey(911));
  const stds = [0.1, 1, 3];
  const scale = new Float32Array(3);
  const moments = noMoments(3);
  scaleFrom(moments, scale);
  expect([...scale]).toEqual([1, 1, 1]);
  const draws = Array.from({ length: 200 }, () =>
    Float32Array.from(stds, (std) => 5 + std * stream.normal()),
  );
  for (const draw of draws) addPosition(moments, draw);
  scaleFrom(moments, scale);
  stds.forEach((_, i) => {
    const mean = draws.reduce((sum, x) => sum + x[i], 0) / 200;
    const variance = draws.reduce((sum, x) => sum + (x[i] - mean) ** 2, 0) / 199;
    expect(scale[i]).toBeCloseTo(Math.sqrt((200 * variance + 5) / 205), 4);
  });
});

test('windows lie within the warm-up, end twice, and leave steps alone at both ends', () => {
  const warmUp = 100;
  const windows = Array.from({ length: warmUp }, (_, i) => windowAt(i + 1, warmUp));
  expect(windows.flatMap(({ ends }, i) => (ends ? [i + 1] : []))).toEqual([35, 80]);
  expect(windows.flatMap(({ looks }, i) => (looks ? [i + 1] : []))).toEqual(
    Array.from({ length: 70 }, (_, i) => i + 11),
  );
  for (const warmUp of [0, 1, 2, 5]) for (let t = 1; t <= warmUp; t++) windowAt(t, warmUp);
});

test('steps in units of scales leave a density as it is, and accept as if it were round', async () => {
  const stds = Float32Array.of(0.01, 1, 20);
  const target: Evaluate = async (x, gradient) => {
    let logDensity = 0;
    stds.forEach((std, i) => {
      gradient[i] = -x[i] / std ** 2;
      logDensity -= 0.5 * (x[i] / std) ** 2;
    });
    return logDensity;
  };
  const stream = new RandomStream(seedKey(912));
  const position = stds.map((std) => std * stream.normal());
  const gradient = new Float32Array(3);
  let point: Point = { position, logDensity: await target(position, gradient), gradient };
  let accepted = 0;
  const squares = new Float64Array(3);
  const moves = 4000;
  for (let t = 0; t < moves; t++) {
    const moved = await hamiltonianMove(target, point, 0.5, stds, 3, stream); // 1.5: a quarter of a turn
    point = moved.point;
    accepted += moved.acceptance / moves;
    stds.forEach((std, i) => {
      squares[i] += (point.position[i] / std) ** 2 / moves;
    });
  }
  expect(accepted).toBeGreaterThan(0.9);
  // nearly independent draws: the variance of a square is 2
  for (const square of squares) expect(Math.abs(square - 1)).toBeLessThan(5 * Math.sqrt((2 * 1.5) / moves));
});
