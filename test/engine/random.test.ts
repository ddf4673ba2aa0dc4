// The random streams against the laws they claim, with fixed seeds: nothing here depends on luck.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { foldIn, type Key, RandomStream, seedKey, split } from '../../src/engine/random.js';
import { normalCdf } from './statistics.js';

const stream = (...names: (string | number)[]) => new RandomStream(foldIn(seedKey(20), ...names));
const normals = (n: number, name: string) => stream(name).fillNormal(new Float64Array(n));
const average = (x: Float64Array, f: (v: number) => number) => x.reduce((sum, v) => sum + f(v), 0) / x.length;

describe('normals', () => {
  const N = 2_000_000;
  const x = normals(N, 'moments');

  // Variance of x^k: E x^2k − (E x^k)²
  it.each([
    { power: 1, expected: 0, variance: 1 },
    { power: 2, expected: 1, variance: 2 },
    { power: 3, expected: 0, variance: 15 },
    { power: 4, expected: 3, variance: 96 },
  ])('have moment $power within five standard errors', ({ power, expected, variance }) => {
    const moment = average(x, (v) => v ** power);
    expect(Math.abs(moment - expected)).toBeLessThan(5 * Math.sqrt(variance / N));
  });

  // 3.654… is where the ziggurat's last layer hands over to the exponential tail.
  it.each([3, 3.6541528853610088, 4])('lie beyond ±%d as often as they should', (limit) => {
    const probability = normalCdf(-limit);
    const standardError = Math.sqrt((probability * (1 - probability)) / N);
    const above = average(x, (v) => (v > limit ? 1 : 0));
    const below = average(x, (v) => (v < -limit ? 1 : 0));
    expect(Math.abs(above - probability)).toBeLessThan(5 * standardError);
    expect(Math.abs(below - probability)).toBeLessThan(5 * standardError);
  });

  it('pass Kolmogorov and Smirnov', () => {
    const sorted = x.slice(0, 500_000).sort();
    let distance = 0;
    sorted.forEach((v, i) => {
      const p = normalCdf(v);
      distance = Math.max(distance, p - i / sorted.length, (i + 1) / sorted.length - p);
    });
    expect(distance * Math.sqrt(sorted.length)).toBeLessThan(1.95); // exceeded once in 1,000
  });

  it('fill a fine histogram evenly (chi-square)', () => {
    const width = 0.05;
    const half = 60; // bins of 0.05 from −3 to 3, and two tails
    const counts = new Float64Array(2 * half + 2);
    for (const v of x) counts[Math.min(2 * half + 1, Math.max(0, Math.floor(v / width) + half + 1))]++;
    let chiSquare = 0;
    counts.forEach((count, bin) => {
      const lower = bin === 0 ? 0 : normalCdf((bin - 1 - half) * width);
      const upper = bin === 2 * half + 1 ? 1 : normalCdf((bin - half) * width);
      chiSquare += (count - N * (upper - lower)) ** 2 / (N * (upper - lower));
    });
    const freedom = counts.length - 1;
    expect(chiSquare).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom));
    expect(chiSquare).toBeGreaterThan(freedom - 5 * Math.sqrt(2 * freedom));
  });

  it('do not depend on the one before, nor its size on the size before', () => {
    for (const f of [(v: number) => v, (v: number) => v * v - 1, Math.abs]) {
      const y = x.map(f);
      const centre = average(y, (v) => v);
      const variance = average(y, (v) => (v - centre) ** 2);
      for (const lag of [1, 2, 3]) {
        let sum = 0;
        for (let i = lag; i < N; i++) sum += (y[i] - centre) * (y[i - lag] - centre);
        expect(Math.abs(sum / N / variance)).toBeLessThan(5 / Math.sqrt(N));
      }
    }
  });

  it('of sibling keys do not depend on each other', () => {
    const n = 200_000;
    const siblings = [0, 1, 2, 3].map((i) => stream('sibling', i).fillNormal(new Float64Array(n)));
    for (let a = 0; a < siblings.length; a++)
      for (let b = 0; b < a; b++) {
        const product = siblings[a].map((v, i) => v * siblings[b][i]);
        expect(Math.abs(average(product, (v) => v))).toBeLessThan(5 / Math.sqrt(n));
      }
  });

  it('of consecutive seeds do not depend on each other', () => {
    const n = 100_000; // the first number of each of n neighbouring seeds
    const first = Float64Array.from({ length: n }, (_, seed) => new RandomStream(seedKey(seed)).normal());
    expect(Math.abs(average(first, (v) => v))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(average(first, (v) => v * v) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    let lagged = 0;
    for (let i = 1; i < n; i++) lagged += first[i] * first[i - 1];
    expect(Math.abs(lagged / n)).toBeLessThan(5 / Math.sqrt(n));
  });

  it('are the same one by one as in one go', () => {
    const oneByOne = stream('single');
    const singles = Float64Array.from({ length: 10_000 }, () => oneByOne.normal());
    expect(singles).toEqual(normals(10_000, 'single'));
  });

  it('are rounded, nothing else, in float32', () => {
    const float32 = stream('single').fillNormal(new Float32Array(10_000));
    expect(float32).toEqual(Float32Array.from(normals(10_000, 'single')));
  });
});

describe('uniform numbers', () => {
  it('are in (0, 1) with the mean and variance of their law', () => {
    const n = 500_000;
    const s = stream('uniform');
    const u = Float64Array.from({ length: n }, () => s.uniform());
    expect(u.every((v) => v > 0 && v < 1)).toBe(true);
    expect(Math.abs(average(u, (v) => v) - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(average(u, (v) => (v - 0.5) ** 2) - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / n));
  });

  it('set every bit half of the time', () => {
    const n = 100_000;
    const s = stream('bits');
    const counts = new Float64Array(32);
    for (let i = 0; i < n; i++) {
      const word = s.uint32();
      for (let bit = 0; bit < 32; bit++) counts[bit] += (word >>> bit) & 1;
    }
    for (const count of counts) expect(Math.abs(count / n - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / n));
  });
});

describe('integers', () => {
  it.each([1, 2, 3, 10, 1000])('below %d come equally often', (n) => {
    const draws = 200_000;
    const s = stream('integer', n);
    const counts = new Float64Array(n);
    for (let i = 0; i < draws; i++) counts[s.integer(n)]++;
    const chiSquare = counts.reduce((sum, count) => sum + (count - draws / n) ** 2 / (draws / n), 0);
    expect(chiSquare).toBeLessThan(n - 1 + 5 * Math.sqrt(2 * (n - 1)) + 1e-9);
  });

  it('have no bias of a remainder', () => {
    // Of 2³² words, x mod 3·2³⁰ is below 2³⁰ for half, not for a third.
    const n = 3 * 2 ** 30;
    const draws = 30_000;
    const s = stream('remainder');
    let low = 0;
    for (let i = 0; i < draws; i++) if (s.integer(n) < 2 ** 30) low++;
    expect(Math.abs(low / draws - 1 / 3)).toBeLessThan(5 * Math.sqrt(2 / 9 / draws));
  });

  it('reach 2³² and refuse what is no range', () => {
    expect(stream('whole').integer(2 ** 32)).toBe(stream('whole').uint32());
    for (const n of [0, -1, 1.5, Number.NaN, 2 ** 32 + 1])
      expect(() => stream('none').integer(n)).toThrow(RangeError);
  });
});

describe('permutations', () => {
  it.each([
    { n: 3, orders: 6 },
    { n: 4, orders: 24 },
  ])('of $n come equally often (chi-square)', ({ n, orders }) => {
    const draws = 48_000;
    const s = stream('permutation', n);
    const counts = new Map<string, number>();
    for (let i = 0; i < draws; i++) {
      const order = s.permutation(n).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(orders);
    const expected = draws / orders;
    const chiSquare = [...counts.values()].reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(orders - 1 + 5 * Math.sqrt(2 * (orders - 1)));
  });

  it('hold every number once', () => {
    expect([...stream('p').permutation(1000)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
    expect(stream('p').permutation(0)).toHaveLength(0);
  });
});

describe('saving and restoring', () => {
  it('goes on bit by bit, through JSON, after any kind of number', () => {
    const s = stream('saved');
    s.fillNormal(new Float32Array(12_345));
    s.integer(7);
    s.permutation(5);
    const saved = JSON.parse(JSON.stringify(s.state()));
    const expected = [...s.fillNormal(new Float64Array(20_000)), s.uniform(), s.integer(9), s.uint32()];
    const other = stream('another');
    other.restore(saved);
    expect([
      ...other.fillNormal(new Float64Array(20_000)),
      other.uniform(),
      other.integer(9),
      other.uint32(),
    ]).toEqual(expected);
  });

  it('is not changed by going on', () => {
    const s = stream('saved');
    const saved = s.state();
    const copy = [...saved];
    s.uniform();
    expect(saved).toEqual(copy);
    expect(s.state()).not.toEqual(copy);
  });

  it('refuses what is no state', () => {
    const s = stream('saved');
    const before = s.state();
    for (const state of [
      [],
      [1, 2, 3],
      [1, 2, 3, 4, 5],
      [0, 0, 0, 0],
      [1, 2, 3, -1],
      [1, 2, 3, 2 ** 32],
      [1, 2, 3, 0.5],
    ])
      expect(() => s.restore(state as never)).toThrow('is no state of a stream');
    expect(() => s.restore([1, 2, 3, null] as never)).toThrow(RangeError);
    expect(s.state()).toEqual(before);
  });

  it('leaves the all-zero key, which a xoshiro generator cannot', () => {
    const s = new RandomStream([0, 0, 0, 0]);
    const words = Array.from({ length: 20 }, () => s.uint32());
    expect(new Set(words).size).toBeGreaterThan(10);
  });
});

describe('keys', () => {
  const root = seedKey(1);
  const distinct = (keys: readonly Key[]) => new Set(keys.map((k) => k.join())).size;

  it('differ for names that read the same when run together', () => {
    const names: (string | number)[][] = [
      ['ab', 'c'],
      ['a', 'bc'],
      ['abc'],
      ['a', 'b', 'c'],
      ['c', 'ab'],
      ['abc', ''],
      ['', 'abc'],
      [],
      [''],
      ['', ''],
      [0],
      [0, 0],
      ['0'],
      [1],
      [2],
      ['1'],
      [1, 2],
      [12],
      ['12'],
      [97],
      ['a'],
      [1, 97],
      [3, 97],
    ];
    expect(distinct(names.map((n) => foldIn(root, ...n)))).toBe(names.length);
  });

  it('do not collide among many steps, seeds and roots', () => {
    const keys = [
      ...Array.from({ length: 20_000 }, (_, i) => foldIn(root, 'step', i)),
      ...Array.from({ length: 20_000 }, (_, i) => seedKey(i)),
      ...Array.from({ length: 100 }, (_, i) => seedKey(2 ** 32 * (i + 1))),
    ];
    expect(distinct(keys)).toBe(keys.length);
    // Every single word of a key is well spread, too: about n²/2³³ collisions by chance.
    for (const word of [0, 1, 2, 3])
      expect(new Set(keys.slice(0, 20_000).map((k) => k[word])).size).toBeGreaterThan(19_990);
  });

  it('change half of their bits with one bit of a name or of the parent', () => {
    const bitCount = (x: number) => x.toString(2).replaceAll('0', '').length;
    const flips = (a: Key, b: Key) => a.reduce((sum, word, i) => sum + bitCount((word ^ b[i]) >>> 0), 0);
    const trials = 2_000;
    let byName = 0;
    let byParent = 0;
    for (let i = 0; i < trials; i++) {
      byName += flips(foldIn(root, i), foldIn(root, i ^ (1 << (i % 31))));
      const parent = seedKey(i);
      const [a, b, c, d] = parent;
      byParent += flips(foldIn(parent, 'x'), foldIn([a, b, c, (d ^ (1 << (i % 31))) >>> 0], 'x'));
    }
    expect(byName / trials / 128).toBeCloseTo(0.5, 1);
    expect(byParent / trials / 128).toBeGreaterThan(0.35);
  });

  it('are folded in one after the other: names can be given in steps', () => {
    expect(foldIn(foldIn(root, 'a'), 3)).toEqual(foldIn(root, 'a', 3));
  });

  it('tell all safe integers apart, as seeds and as names', () => {
    const numbers = [0, 1, 5, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 5 * 2 ** 32, 2 ** 53 - 1];
    const signed = [...numbers, ...numbers.slice(1).map((n) => -n)];
    expect(distinct(signed.map(seedKey))).toBe(signed.length);
    expect(distinct(signed.map((n) => foldIn(root, n)))).toBe(signed.length);
    // and a large number from two small ones or a text that is written with the same words
    expect(distinct([foldIn(root, 2 ** 32 + 5), foldIn(root, 5, 1), foldIn(root, 0, 5, 1)])).toBe(3);
    expect(foldIn(root, -0)).toEqual(foldIn(root, 0));
  });

  it('refuse numbers that are no safe integers', () => {
    for (const n of [0.5, 2 ** 53, -(2 ** 53), Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => seedKey(n)).toThrow(RangeError);
      expect(() => foldIn(root, 'step', n)).toThrow(`${n} names no stream`);
    }
  });

  it('split into the same children however many are wanted', () => {
    expect(split(root, 0)).toEqual([]);
    expect(split(root, 3)).toEqual([foldIn(root, 0), foldIn(root, 1), foldIn(root, 2)]);
    expect(split(root, 100).slice(0, 3)).toEqual(split(root, 3));
    expect(distinct(split(root, 10_000))).toBe(10_000);
  });
});

describe('golden values: a seed means the same numbers for ever', () => {
  it('keys', () => {
    expect(seedKey(0)).toEqual([1255476942, 3681195747, 1078132823, 2331062523]);
    expect(foldIn(seedKey(1), 'noise', 7)).toEqual([233981739, 3015689411, 2910699409, 2655364415]);
  });

  it('numbers', () => {
    const s = new RandomStream(seedKey(1));
    expect(Array.from({ length: 4 }, () => s.uint32())).toEqual([
      2549827519, 341756348, 1206193409, 2408915618,
    ]);
    expect(Array.from({ length: 2 }, () => s.uniform())).toEqual([0.3751718293642625, 0.6663866521557793]);
    expect(Array.from({ length: 6 }, () => s.integer(10))).toEqual([9, 2, 8, 1, 6, 2]);
    expect([...s.fillNormal(new Float64Array(4))]).toEqual([
      -0.5218608669361982, -0.28249947508096107, 0.35271742560277547, -0.47301003961641036,
    ]);
    expect([...s.permutation(8)]).toEqual([1, 2, 3, 0, 5, 7, 4, 6]);
    // Through wedges and the tail: one sum over many.
    expect(s.fillNormal(new Float64Array(100_000)).reduce((sum, v) => sum + v * v, 0)).toBeCloseTo(
      99680.30501103996,
      6,
    );
    expect(s.state()).toEqual([4068974883, 3886427462, 1375293837, 4121818355]);
  });

  it('every bit of a million normals, in double and in single precision', () => {
    const s = new RandomStream(seedKey(7));
    const hash = (x: Float32Array | Float64Array) =>
      createHash('sha256').update(x).digest('hex').slice(0, 16);
    expect(hash(s.fillNormal(new Float64Array(1_000_000)))).toBe('afc4ea8cd2abb4ea');
    expect(hash(s.fillNormal(new Float32Array(1_000_000)))).toBe('85c134718cb98052');
    expect(s.state()).toEqual([1757095188, 2514156062, 1767357728, 2472521985]);
  });

  it('the generator is xoshiro128** as published', () => {
    // The published C code from the state 1, 2, 3, 4, followed with whole numbers in Python.
    const s = new RandomStream([1, 2, 3, 4]);
    expect(Array.from({ length: 5 }, () => s.uint32())).toEqual([11520, 0, 5927040, 70819200, 2031721883]);
  });
});
