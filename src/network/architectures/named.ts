// What a named architecture is: a list of layers for given numbers of channels.
import type { ImageShape, LayerDescription } from '../architecture.js';

export interface NamedArchitecture {
  /** One line for a person. */
  description: string;
  /** Numbers of channels at width 1, and units of hidden dense layers. */
  channels: readonly number[];
  /** Layers for as many numbers of channels. */
  layers(channels: readonly number[], classes: number, input: ImageShape): LayerDescription[];
}
