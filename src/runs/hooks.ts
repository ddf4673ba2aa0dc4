// What a run tells those who wait for it, and what it may be given.
import type { Dataset } from '../data/index.js';
import type { Engine } from '../engine/index.js';

export interface RunHooks {
  signal?: AbortSignal;
  progress?(phase: string, done: number, total: number, detail: string): void;
  /** What the user should know before it starts. */
  info?(line: string): void;
  warn?(line: string): void;
  /** Warned of once the run is found good. */
  notes?: readonly string[];
  /** Data that several runs share. */
  dataset?: Dataset;
  engine?: Engine;
}
