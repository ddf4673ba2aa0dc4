// The bias that kinds with weights have.
import type { Filled } from '../layer.js';

/** A bias of `size` elements that starts at 0, where the options ask for one. */
export const withBias = ({ bias }: { bias: boolean }, size: number): Readonly<Record<string, Filled>> =>
  bias ? { bias: { shape: [size], start: 0 } } : {};
