// Samples of the streams against their laws and against each other: Kolmogorov–Smirnov, far tails, independence.
// Seeds are fixed, so each test passes always or never; its limit says how rare a worse sample would be.
import { describe, expect, it } from 'vitest';
import { foldIn, type Key, RandomStream, seedKey, split } from '../../src/engine/random.js';
import {
  KS_LIMIT,
  kolmogorovSmirnov,
  kolmogorovSmirnov2,
  normalCdf,
  normalTail,
  poissonTail,
  productCdf,
} from './statistics.js';

const root = seedKey(2024);
const N = 200_000;
const normals = (key: Key, n = N) => new RandomStream(key).fillNormal(new Float64Array(n));
const uniforms = (key: Key, n = N) => {
  const stream = new RandomStream(key);
  return Float64Array.from({ length: n }, () => stream.uniform());
};
const both = (a: Float64Array, b: Float64Array, f: (x: number, y: number) => number) =>
  a.map((x, i) => f(x, b[i]));
const average = (x: Float64Array) => x.reduce((sum, v) => sum + v, 0) / x.length;

describe('the statistics used below', () => {
  it('know the laws: values of tables and of closed forms', () => {
    expect(normalCdf(0)).toBe(0.5);
    expect(normalCdf(1.959963984540054)).toBeCloseTo(0.975, 12);
    expect(normalCdf(-3)).toBeCloseTo(0.0013498980316301035, 14);
    expect(normalTail(5) / 2.866515718791939e-7).toBeCloseTo(1, 9);
    // P(XY ≤ 1), by quadrature over x of φ(x) Φ(1/x)
    let sum = 0;
    const width = 1e-4;
    for (let x = width / 2; x < 9; x += width) sum += Math.exp((-x * x) / 2) * normalCdf(Math.min(1 / x, 8));
    expect(productCdf(1)).toBeCloseTo((2 * sum * width) / Math.sqrt(2 * Math.PI), 6);
    expect(productCdf(-1)).toBeCloseTo(1 - productCdf(1), 12);
    expect(poissonTail(0, 3)).toBeCloseTo(Math.exp(-3), 12);
    expect(poissonTail(4, 3) + poissonTail(3, 3)).toBeCloseTo(1, 12);
  });

  it('see what is not of the law', () => {
    const x = normals(foldIn(root, 'wrong'));
    expect(kolmogorovSmirnov(x, (v) => normalCdf(v / 1.04))).toBeGreaterThan(KS_LIMIT);
    expect(kolmogorovSmirnov(x, (v) => normalCdf(v - 0.03))).toBeGreaterThan(KS_LIMIT);
    expect(
      kolmogorovSmirnov2(
        x,
        normals(foldIn(root, 'other')).map((v) => v + 0.03),
      ),
    ).toBeGreaterThan(KS_LIMIT);
    const y = x.map((v, i) => 0.1 * v + Math.sqrt(1 - 0.1 ** 2) * x[(i + 1) % N]); // correlation 0.1
    expect(
      kolmogorovSmirnov(
        both(x, y, (a, b) => (a - b) / Math.SQRT2),
        normalCdf,
      ),
    ).toBeGreaterThan(KS_LIMIT);
  });
});

describe('the law of one stream (Kolmogorov–Smirnov)', () => {
  it.each(split(foldIn(root, 'one'), 8))('%d %d %d %d: normals, uniforms, integers', (...key) => {
    expect(kolmogorovSmirnov(normals(key), normalCdf)).toBeLessThan(KS_LIMIT);
    const float32 = new RandomStream(key).fillNormal(new Float32Array(N));
    expect(kolmogorovSmirnov(float32, normalCdf)).toBeLessThan(KS_LIMIT);
    expect(kolmogorovSmirnov(uniforms(key), (x) => x)).toBeLessThan(KS_LIMIT);
    const stream = new RandomStream(key);
    const integers = Float64Array.from({ length: N }, () => stream.integer(2 ** 30));
    expect(kolmogorovSmirnov(integers, (x) => x / 2 ** 30)).toBeLessThan(KS_LIMIT);
  });
});

describe('first numbers of many streams, as a step that needs few of them sees them', () => {
  const keysOf = {
    'seeds 0, 1, …': (i: number) => seedKey(i),
    'steps 1, 2, …': (i: number) => foldIn(root, 'step', i + 1),
    'names of layers': (i: number) => foldIn(root, `conv${i}.mean`),
    'children of one key': (i: number) => foldIn(root, i),
    'only children': (() => {
      let key = root;
      return () => {
        key = foldIn(key, 0);
        return key;
      };
    })(),
  };
  it.each(Object.entries(keysOf))('%s', (_, keyOf) => {
    const n = 50_000;
    const streams = Array.from({ length: n }, (_, i) => new RandomStream(keyOf(i)));
    for (let draw = 0; draw < 3; draw++) {
      const x = Float64Array.from(streams, (s) => s.normal());
      expect(kolmogorovSmirnov(x, normalCdf)).toBeLessThan(KS_LIMIT);
      // Neighbours, too, are independent: their differences are normal.
      const difference = both(x.subarray(1), x, (a, b) => (a - b) / Math.SQRT2).filter((_, i) => i % 2 === 0);
      expect(kolmogorovSmirnov(difference, normalCdf)).toBeLessThan(KS_LIMIT);
    }
  });
});

describe('two streams are independent', () => {
  const pairs: [string, Key, Key][] = [
    ['siblings', ...(split(root, 2) as [Key, Key])],
    ['distant siblings', foldIn(root, 0), foldIn(root, 2 ** 31)],
    ['a key and its child', root, foldIn(root, 0)],
    ['consecutive seeds', seedKey(11), seedKey(12)],
    ['consecutive steps', foldIn(root, 'step', 1), foldIn(root, 'step', 2)],
    ['names of one letter', foldIn(root, 'a'), foldIn(root, 'b')],
    ['a seed and itself beyond 32 bits', seedKey(5), seedKey(2 ** 32 + 5)],
    ['keys of one bit', [1, 0, 0, 0], [0, 1, 0, 0]],
  ];
  it.each(pairs)('%s', (_, a, b) => {
    const [x, y] = [normals(a), normals(b)];
    expect(kolmogorovSmirnov2(x, y)).toBeLessThan(KS_LIMIT);
    // Normal together ⇔ every combination is normal; uncorrelated then means independent.
    const laws: [(x: number, y: number) => number, (x: number) => number][] = [
      [(x, y) => (x - y) / Math.SQRT2, normalCdf],
      [(x, y) => (x + y) / Math.SQRT2, normalCdf],
      [(x, y) => x * y, productCdf],
      [(x, y) => x * x + y * y, (r) => 1 - Math.exp(-r / 2)],
      [(x, y) => Math.atan2(y, x), (angle) => 0.5 + angle / (2 * Math.PI)],
    ];
    for (const [f, cdf] of laws) expect(kolmogorovSmirnov(both(x, y, f), cdf)).toBeLessThan(KS_LIMIT);
    const [u, v] = [uniforms(a), uniforms(b)];
    expect(kolmogorovSmirnov2(u, v)).toBeLessThan(KS_LIMIT);
    expect(
      kolmogorovSmirnov(
        both(u, v, (x, y) => (x + y) % 1),
        (x) => x,
      ),
    ).toBeLessThan(KS_LIMIT);
    for (const [p, q, variance] of [
      [x, y, 1],
      [x.map((v) => v * v - 1), y.map((v) => v * v - 1), 4],
      [u.map((v) => v - 0.5), v.map((w) => w - 0.5), 1 / 144],
    ] as const)
      for (const shift of [0, 1, 7]) {
        let sum = 0;
        for (let i = shift; i < N; i++) sum += p[i] * q[i - shift];
        expect(Math.abs(sum / (N - shift))).toBeLessThan(5 * Math.sqrt(variance / (N - shift)));
      }
  });
});

describe('numbers of one stream are independent', () => {
  const x = normals(foldIn(root, 'serial'), 1_000_000);

  it.each([1, 2, 3, 4, 5, 8, 16, 31, 32, 128, 256])(
    'at distance %d: values, squares and last bits',
    (lag) => {
      const n = x.length - lag;
      const lastBits = x.map((v) => ((Math.abs(v) * 2 ** 20) % 1) - 0.5); // uniform, nearly
      for (const [y, variance] of [
        [x, 1],
        [x.map((v) => v * v - 1), 4],
        [lastBits, 1 / 144],
      ] as const) {
        let sum = 0;
        for (let i = lag; i < y.length; i++) sum += y[i] * y[i - lag];
        expect(Math.abs(sum / n)).toBeLessThan(5 * Math.sqrt(variance / n));
      }
    },
  );

  it('in pairs they fill a square evenly (chi-square of 32 × 32 cells)', () => {
    const side = 32;
    const cell = (v: number) => Math.min(side - 1, Math.floor(normalCdf(v) * side));
    const counts = new Float64Array(side * side);
    for (let i = 0; i + 1 < x.length; i += 2) counts[cell(x[i]) * side + cell(x[i + 1])]++;
    const expected = x.length / 2 / counts.length;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    const freedom = counts.length - 1;
    expect(Math.abs(chiSquare - freedom)).toBeLessThan(5 * Math.sqrt(2 * freedom));
  });

  it('sums of 16 are normal (Kolmogorov–Smirnov)', () => {
    const sums = Float64Array.from(
      { length: x.length / 16 },
      (_, i) => average(x.subarray(16 * i, 16 * i + 16)) * 4,
    );
    expect(kolmogorovSmirnov(sums, normalCdf)).toBeLessThan(KS_LIMIT);
  });
});

describe('a hundred million normals', () => {
  const chunk = new Float32Array(1_000_000);
  const chunks = 100;
  const total = chunks * chunk.length;
  const limits = [3, 3.5, 3.6541528853610088, 4, 4.5, 5, 5.5];
  const above = new Map(limits.map((limit) => [limit, 0]));
  const below = new Map(limits.map((limit) => [limit, 0]));
  const powers = [1, 2, 3, 4, 5, 6];
  const sums = new Float64Array(7);
  const stream = new RandomStream(foldIn(root, 'many'));
  for (let c = 0; c < chunks; c++) {
    stream.fillNormal(chunk);
    let [s1, s2, s3, s4, s5, s6] = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < chunk.length; i++) {
      const x = chunk[i];
      const xx = x * x;
      s1 += x;
      s2 += xx;
      s3 += x * xx;
      s4 += xx * xx;
      s5 += x * xx * xx;
      s6 += xx * xx * xx;
      if (xx > 9)
        for (const limit of limits) {
          if (x > limit) above.set(limit, above.get(limit)! + 1);
          if (x < -limit) below.set(limit, below.get(limit)! + 1);
        }
    }
    [s1, s2, s3, s4, s5, s6].forEach((s, k) => {
      sums[k + 1] += s / total;
    });
  }

  // The last layer of the ziggurat hands over to the exponential tail at 3.654….
  it.each(limits)('lie beyond ±%d as often as they should', (limit) => {
    const mean = total * normalTail(limit);
    for (const count of [above.get(limit)!, below.get(limit)!]) {
      if (mean > 200) expect(Math.abs(count - mean)).toBeLessThan(5 * Math.sqrt(mean));
      else expect(poissonTail(count, mean)).toBeGreaterThan(1e-6);
    }
  });

  it.each(powers)('have moment %d within five standard errors', (power) => {
    const doubleFactorial = (n: number): number => (n < 2 ? 1 : n * doubleFactorial(n - 2));
    const moment = (k: number) => (k % 2 ? 0 : doubleFactorial(k - 1));
    const variance = moment(2 * power) - moment(power) ** 2;
    expect(Math.abs(sums[power] - moment(power))).toBeLessThan(5 * Math.sqrt(variance / total));
  });
});
