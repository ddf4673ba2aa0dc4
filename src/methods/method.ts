// What a way of learning a network's weights is made of. A run's folder, configuration, data, priors and summary are the
// same for all; a method adds its options and does the rest: a new one is one file here and one line in index.ts.
import type { Model } from '../bounds/elbo.js';
import type { Engine } from '../engine/index.js';
import type { Network } from '../evaluate/index.js';
import type { Arrays, KernelPrior } from '../priors/index.js';
import type { Options } from '../problems/option.js';
import type { PriorName, ProblemConfig } from '../problems/options.js';
import type { Problem, WeightModel } from '../problems/problem.js';
import type { BoundReport } from '../train/final-bound.js';
import type { ChainReport } from './chain-report.js';

export interface TaskHooks {
  signal?: AbortSignal;
  progress?(phase: string, done: number, total: number, detail: string): void;
}

/** A run under way. */
export interface Task<C = ProblemConfig> {
  config: C;
  /** Of the run; it exists in all parts but `start`. */
  folder: string;
  problem: Problem;
  engine: Engine;
  hooks: TaskHooks;
}

/** Probabilities [n, classes] of the judged images under `count` networks, one network after the other. */
export interface Draws {
  count: number;
  draws: AsyncIterable<Float32Array>;
}

/** What a summary says of the method's work. */
export interface MethodReport {
  /** Where the convolutions started, where that is not what the configuration says. */
  init?: string;
  bound?: BoundReport;
  chains?: ChainReport;
  /** Priors as they are after training, of layers whose priors were learned along. */
  adapted?: Readonly<Record<string, KernelPrior>>;
}

export interface Method<C extends ProblemConfig = ProblemConfig> {
  readonly name: string;
  /** In help: what the method does, a few words. */
  readonly summary: string;
  /** Values of --prior that it works with; the first is its default. */
  readonly priors: readonly [PriorName, ...PriorName[]];
  /** Its own options; those of every run are in problems/options.ts. */
  readonly options: Options;
  /** Writes out defaults that depend on other options, so that nothing is left to another version. */
  complete(config: C): C;
  /** What it makes of the weights: posterior, bound, what is learned of priors. */
  model(config: C): WeightModel;
  /** @throws DwpError USAGE where options exclude each other, or the network is not for this method */
  check(config: C, problem: Problem): void;
  /** Prepares the first step. @returns what writes it into the run's new folder */
  start(task: Task<C>): Promise<(folder: string) => void>;
  /**
   * Goes on from what the folder holds to the end, saving it now and then: bit for bit as if it had never stopped.
   * @returns the seconds that this stretch took
   * @throws DwpError INTERRUPTED after a save; INPUT where the folder is damaged
   */
  advance(task: Task<C>): Promise<number>;
  /** How many steps there are in all. */
  steps(config: C): number;
  /** How many of them the folder holds; undefined before the first save. */
  stepsDone(folder: string, config: C): number | undefined;
  /**
   * Parameters of the networks that predict together.
   * @param network whose parameters they must be, where that is to be checked
   * @throws DwpError INPUT where they are not, USAGE where there are none yet
   */
  networks(folder: string, config: C, network?: Network | Model): Arrays[];
  /** @param samples draws of the weights, where the method has a choice; its configuration's where nothing is said */
  predictions(task: Task<C>, samples?: number): Draws;
  report(task: Task<C>): Promise<MethodReport>;
}
