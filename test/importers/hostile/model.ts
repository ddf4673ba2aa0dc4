// What hostile inputs are made of: models with the files beside them, seeded random numbers, and numbers that hurt.

/** A model file and its siblings, as they would lie in one folder. */
export interface HostileModel {
  /** Of the model's file; the ending says which importers are asked. */
  name: string;
  bytes: Uint8Array;
  /** Other files of the model: shards, external data. */
  siblings?: Readonly<Record<string, Uint8Array>>;
}

/** Integers around the limits of every width, sign and of exact numbers. */
export const EVIL_INTEGERS: readonly bigint[] = [
  ...[0n, 1n, -1n, 2n, 3n, 4n, 7n, 8n, 16n, 64n, 127n, 128n, 255n, 256n, 1000n, 4096n],
  ...[2n ** 15n - 1n, 2n ** 15n, 2n ** 16n - 1n, 2n ** 16n, 2n ** 20n, 2n ** 24n, 2n ** 28n, 2n ** 30n],
  ...[2n ** 31n - 1n, 2n ** 31n, -(2n ** 31n), 2n ** 32n - 1n, 2n ** 32n, 2n ** 40n, 2n ** 47n, 2n ** 52n],
  ...[2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n],
  2n ** 64n - 1n,
];

/** Names that lead elsewhere, or do something to whoever prints them or uses them as a key. */
export const EVIL_NAMES: readonly string[] = [
  ...['', '.', '..', '/', '../x', '../../etc/passwd', '/etc/passwd', '/dev/zero', '/dev/stdin', 'a/../../b'],
  ...[
    '..\\x',
    'C:\\x',
    '\\\\host\\x',
    'file:///etc/passwd',
    'x\0y',
    '\u001b[2J\u001b]0;x\u0007',
    'a\nb\r\nc',
  ],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', '<script>alert(1)</script>', '\u202etxt.exe'],
  ...['\u2028', '%s%n', '\ud800', 'x'.repeat(300), '{{7*7}}', 'NaN', '-1', '1e400', 'null'],
];

/** mulberry32: a sequence of numbers that depends on its seed alone. */
export class Random {
  constructor(private state: number) {}

  /** Uniform in [0, 2³²). */
  bits(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Uniform in [0, n). */
  below(n: number): number {
    return Math.floor((this.bits() / 2 ** 32) * n);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
}
