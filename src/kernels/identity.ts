// When two slices are the same: 64 bits of hash for each, of its bytes or of a form that what is alike shares.

/**
 * `exact`: the same bytes. `near`: nearly the same after scaling to unit norm, see near.ts.
 * `symmetric`: the same up to mirroring, turning and a change of sign. `keep`: none are.
 */
export type Identity = 'exact' | 'near' | 'symmetric' | 'keep';

export const IDENTITIES = ['exact', 'near', 'symmetric', 'keep'] as const satisfies readonly Identity[];

/** Step of `near`: slices that differ by at most a quarter of it in every weight of a unit kernel are the same. */
export const NEAR_TOLERANCE = 1e-3;

// The state is two words; every step is a bijection of it, so that slices which differ in one weight never collide.
const SEED_A = 0x243f6a88;
export const SEED_B = 0x85a308d3 | 0;
export const FACTOR_A = 0x9e3779b1 | 0;
export const FACTOR_B = 0x85ebca77 | 0;

/** Mixes a word so that every bit depends on all of them. */
export function finish(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Where the hash of a kernel begins: kernels of different sizes are never the same. */
export const seedOf = (h: number, w: number, channels = 1): number =>
  SEED_A ^ (128 * h + w + 16_384 * (channels - 1));

/** Hash of the words that `order` lists, to `out[at]` and `out[at + 1]`; clean.ts has the same for words in a row. */
export function hashWords(
  words: Uint32Array,
  seed: number,
  order: Int32Array,
  out: Uint32Array,
  at: number,
): void {
  let a = seed;
  let b = SEED_B;
  for (let i = 0; i < order.length; i++) {
    a = Math.imul(a ^ words[order[i]], FACTOR_A);
    a ^= a >>> 15;
    b = Math.imul(((b << 13) | (b >>> 19)) + a, FACTOR_B);
  }
  out[at] = finish(a);
  out[at + 1] = finish(b ^ a);
}

/**
 * Hashes of rows that are the same up to mirroring, turning and a change of sign.
 *
 * @param data kernels of channels·h·w values
 * @param rows which of them
 * @returns two words for each of `rows`
 */
export function symmetricHashes(
  data: Float32Array,
  h: number,
  w: number,
  rows: ArrayLike<number>,
  channels = 1,
): Uint32Array<ArrayBuffer> {
  const size = channels * h * w;
  const out = new Uint32Array(new ArrayBuffer(8 * rows.length));
  const values = new Float32Array(size);
  const words = new Uint32Array(values.buffer);
  const seed = seedOf(h, w, channels);
  const orders = symmetries(h, w, channels);
  const candidate = new Uint32Array(2);
  for (let i = 0; i < rows.length; i++) {
    const from = rows[i] * size;
    let [low, high] = [0xffffffff, 0xffffffff];
    for (const sign of [1, -1]) {
      for (let j = 0; j < size; j++) values[j] = sign * data[from + j] + 0; // + 0: no negative zeros
      for (const order of orders) {
        hashWords(words, seed, order, candidate, 0);
        if (candidate[1] < high || (candidate[1] === high && candidate[0] < low)) [low, high] = candidate;
      }
    }
    out[2 * i] = low;
    out[2 * i + 1] = high;
  }
  return out;
}

/** Places of the weights after each mirroring and turning, of all channels alike, that keeps the size: eight of a square, else four. */
function symmetries(h: number, w: number, channels: number): Int32Array[] {
  const orders: Int32Array[] = [];
  for (const transposed of h === w ? [false, true] : [false])
    for (const up of [false, true])
      for (const left of [false, true])
        orders.push(
          Int32Array.from({ length: channels * h * w }, (_, i) => {
            const y = Math.floor(i / w) % h;
            const x = i % w;
            const [p, q] = transposed ? [x, y] : [y, x];
            const channel = Math.floor(i / (h * w)) * h * w; // stays
            return channel + (up ? h - 1 - p : p) * w + (left ? w - 1 - q : q);
          }),
        );
  return orders;
}
