// Architectures by name: a new one is one file and one line.
import type { Architecture, ImageShape } from './architecture.js';
import { lenet } from './lenet.js';
import { oneConv } from './one-conv.js';

export * from './architecture.js';

export interface ArchitectureChoice {
  build(input: ImageShape, classes: number, channels?: readonly number[]): Architecture;
  /** Channels at --width 1. */
  channels: readonly number[];
}

export const architectures: Readonly<Record<string, ArchitectureChoice>> = {
  lenet: { build: lenet, channels: [32, 128] },
  'one-conv': { build: oneConv, channels: [4] },
};
