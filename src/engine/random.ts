// Seeded randomness: keys that are split by name, streams of numbers that can be saved and restored.
//
// The generator is xoshiro128** 1.1 (Blackman & Vigna 2018); normals are drawn by the ziggurat method
// (Marsaglia & Tsang 2000) with 256 layers. Apart from integer arithmetic, sums, products, quotients and square
// roots, which are the same everywhere, it needs exp and log, which V8 computes by its own code on all machines.

/** 128 bits that name a stream. Derive others with {@link foldIn}; never use one key for two purposes. */
export type Key = readonly [number, number, number, number];

/** The whole state of a stream, as it goes into a checkpoint. */
export type StreamState = [number, number, number, number];

const mix = (x: number): number => {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
};

/**
 * The root key of a run.
 * @throws RangeError unless the seed is a safe integer
 */
export function seedKey(seed: number): Key {
  const [low, high] = halves(seed);
  return foldIn([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], low, high);
}

/**
 * A new key from a key and names: `foldIn(key, 'noise', step)`. Names can be given at once or one after the other.
 * @throws RangeError for a number that is not a safe integer
 */
export function foldIn(key: Key, ...names: readonly (number | string)[]): Key {
  let [a, b, c, d] = key;
  for (const word of names.flatMap(wordsOf)) {
    a = mix((a ^ word) + 0x9e3779b9);
    b = mix((b ^ a) + 0x7f4a7c15);
    c = mix((c ^ b) + 0xf39cc060);
    d = mix((d ^ c) + 0x5cedc834);
    a = mix(a ^ d);
  }
  return [a, b, c, d];
}

/** n keys from one; number i is `foldIn(key, i)`, whatever n is. */
export const split = (key: Key, n: number): Key[] => Array.from({ length: n }, (_, i) => foldIn(key, i));

/** What is folded in for a name. The first word says what follows, so that no two lists of names give the same. */
function wordsOf(name: number | string): number[] {
  if (typeof name === 'string') return [2 + name.length, ...Array.from(name, (c) => c.codePointAt(0)!)];
  const [low, high] = halves(name);
  return high === 0 ? [1, low] : [0, low, high];
}

/** The lower 32 bits of a whole number, and all others as 32 bits in two's complement. */
function halves(n: number): [low: number, high: number] {
  if (!Number.isSafeInteger(n)) throw new RangeError(`${n} names no stream: it is not a safe integer`);
  return [n >>> 0, Math.floor(n / 2 ** 32) >>> 0];
}

const LAYERS = 256;
const TAIL = 3.6541528853610088; // x of the outermost layer for 256 layers
const AREA = 4.92867323399e-3; // area of every layer
// Layer i spans |x| < EDGE[i]; values below INSIDE[i]·2²³ are under the density without a further test.
const EDGE = new Float64Array(LAYERS + 1);
const DENSITY = new Float64Array(LAYERS + 1);
EDGE[0] = AREA / Math.exp(-0.5 * TAIL * TAIL);
EDGE[1] = TAIL;
for (let i = 2; i < LAYERS; i++)
  EDGE[i] = Math.sqrt(-2 * Math.log(AREA / EDGE[i - 1] + Math.exp(-0.5 * EDGE[i - 1] * EDGE[i - 1])));
EDGE[LAYERS] = 0;
for (let i = 0; i <= LAYERS; i++) DENSITY[i] = Math.exp(-0.5 * EDGE[i] * EDGE[i]);
const SCALE = EDGE.map((x) => x / 2 ** 23).slice(0, LAYERS);
// The same twice, the second time negative: found by a layer's 8 bits and the sign's 1 together.
const SIGNED_SCALE = Float64Array.from({ length: 2 * LAYERS }, (_, i) =>
  i < LAYERS ? SCALE[i] : -SCALE[i - LAYERS],
);
const INSIDE = Int32Array.from({ length: LAYERS }, (_, i) => Math.floor((EDGE[i + 1] / EDGE[i]) * 2 ** 23));

/** A stream of random numbers. Mutable by nature: `state()` and `restore()` make it resumable. */
export class RandomStream {
  private readonly s: Uint32Array;

  constructor(key: Key) {
    this.s = Uint32Array.from(key);
    if (this.s.every((word) => word === 0)) this.s[0] = 1; // the one state xoshiro cannot leave
  }

  /** Four words of 32 bits: all there is to save. */
  state(): StreamState {
    return [...this.s] as StreamState;
  }

  /** @throws RangeError when `state` is not what `state()` gives: four words of 32 bits, not all of them 0 */
  restore(state: StreamState): void {
    if (state.length !== 4 || state.some((word) => word >>> 0 !== word) || state.every((word) => word === 0))
      throw new RangeError(`[${state}] is no state of a stream`);
    this.s.set(state);
  }

  /** Uniform on {0, …, 2³² − 1}. */
  uint32(): number {
    const s = this.s;
    const times5 = Math.imul(s[1], 5);
    const result = Math.imul((times5 << 7) | (times5 >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** Uniform on (0, 1), with 32 bits. */
  uniform(): number {
    return (this.uint32() + 0.5) * 2 ** -32;
  }

  /**
   * Uniform on {0, …, n − 1}, without the bias of a remainder.
   * @throws RangeError unless n is a whole number from 1 to 2³²
   */
  integer(n: number): number {
    if (!(Number.isInteger(n) && n >= 1 && n <= 2 ** 32)) throw new RangeError(`no whole number below ${n}`);
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const x = this.uint32();
      if (x < limit) return x % n;
    }
  }

  /** Standard normal. */
  normal(): number {
    return this.fillNormal(new Float64Array(1))[0];
  }

  /** Fills `out` with standard normals and returns it. */
  fillNormal<T extends Float32Array | Float64Array>(out: T): T {
    // Training makes millions of numbers per second here. The state lives in locals, as signed words: JavaScript
    // engines keep those in integer registers, and unsigned ones above 2³¹ as doubles. The sign comes out of a
    // table, because a branch on a random bit is mispredicted every other time.
    const s = this.s;
    let s0 = s[0] | 0;
    let s1 = s[1] | 0;
    let s2 = s[2] | 0;
    let s3 = s[3] | 0;
    const n = out.length;
    for (let i = 0; i < n; i++) {
      const times5 = Math.imul(s1, 5);
      const bits = Math.imul((times5 << 7) | (times5 >>> 25), 9);
      const t = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= t;
      s3 = (s3 << 11) | (s3 >>> 21);
      const layer = bits & 0xff;
      const magnitude = bits >>> 9; // 23 bits, apart from the layer's 8 and the sign's 1
      out[i] = magnitude * SIGNED_SCALE[bits & 0x1ff];
      if (magnitude >= INSIDE[layer]) {
        s[0] = s0;
        s[1] = s1;
        s[2] = s2;
        s[3] = s3;
        const x = this.outside(layer, magnitude * SCALE[layer]);
        out[i] = bits & 0x100 ? -x : x;
        s0 = s[0] | 0;
        s1 = s[1] | 0;
        s2 = s[2] | 0;
        s3 = s[3] | 0;
      }
    }
    s[0] = s0;
    s[1] = s1;
    s[2] = s2;
    s[3] = s3;
    return out;
  }

  /** |x| for a point that the fast test could not accept: wedge or tail, redrawn until it fits. */
  private outside(layer: number, x: number): number {
    for (;;) {
      if (layer === 0) {
        // Marsaglia's tail: x > TAIL by exponentials.
        for (;;) {
          const beyond = -Math.log(this.uniform()) / TAIL;
          if (-2 * Math.log(this.uniform()) > beyond * beyond) return TAIL + beyond;
        }
      }
      const y = DENSITY[layer] + (DENSITY[layer + 1] - DENSITY[layer]) * this.uniform();
      if (y < Math.exp(-0.5 * x * x)) return x;
      const bits = this.uint32();
      layer = bits & 0xff;
      const magnitude = bits >>> 9;
      x = magnitude * SCALE[layer];
      if (magnitude < INSIDE[layer]) return x;
    }
  }

  /** A uniformly random order of 0, …, n − 1 (Fisher & Yates). */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    return order;
  }
}
