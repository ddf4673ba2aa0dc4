// What a kernel prior is, for those who train with it, evaluate it or draw from it.
import type { z } from 'zod';
import type { LatentDensity } from '../distributions/latent.js';
import type { DiagonalNormal } from '../distributions/normal.js';
import type { Arrays, Engine, Key, Specs, Tensors, tf } from '../engine/index.js';
import { type KernelSize, type Kernels, kernelLength } from '../kernels/kernels.js';

export { type KernelSize, kernelLength };

/** Numbers of a symmetric or triangular matrix [d, d]. */
export const triangle = (d: number): number => (d * (d + 1)) / 2;

export type { Arrays, Specs, Tensors };

/** Numbers in all arrays, or in those that a condition on their names leaves. */
export const numbersIn = (arrays: Arrays, where: (name: string) => boolean = () => true): number =>
  Object.entries(arrays).reduce(
    (sum, [name, { shape }]) => (where(name) ? sum + shape.reduce((a, b) => a * b, 1) : sum),
    0,
  );

/** A fitted prior p(w) of kernels of one size. Its functions are pure and run inside steps. */
export interface KernelPrior {
  family: string;
  size: KernelSize;
  config: Readonly<Record<string, unknown>>;
  parameters: Arrays;
  /** Standard normals that `generate` needs for n kernels. */
  generateNoise(n: number): Specs;
  /** Samples of the prior, [n, d]. */
  generate(parameters: Tensors, noise: Tensors): tf.Tensor;
  /** How log p(w) is known: exactly, or as a latent-variable density that is bounded. */
  density: ExactDensity | LatentVariableDensity;
  /** What of it a network may learn along with itself; a part that there is none of is left out. */
  adaptable?: Partial<Record<AdaptablePart, Adaptable>>;
  /** Arrays that were learned along, as the family stores them. */
  finished?(parameters: Arrays): Arrays;
}

/** p(z) or the weights of components; the decoder; of a mixture of priors their weights alone. */
export type AdaptablePart = 'latent' | 'decoder' | 'weights';

export interface Adaptable {
  /** Of the parameters. */
  names: readonly string[];
  /** Parameters among them that the prior has only once they are learned, at the values that change nothing. */
  added?: Arrays;
}

/** What a prior is, without its arrays. */
export interface PriorChoice {
  family: string;
  config: Readonly<Record<string, unknown>>;
}

/** A prior made of others, which are fitted on their own. */
export interface PriorComposition<C extends Record<string, unknown> = Record<string, unknown>> {
  name: string;
  summary: string;
  config: z.ZodType<C>;
  /**
   * @param make of a part
   * @throws DwpError INPUT when the arrays do not fit
   */
  prior(
    size: KernelSize,
    config: C,
    parameters: Arrays,
    make: (part: PriorChoice, size: KernelSize, parameters: Arrays) => KernelPrior,
  ): KernelPrior;
}

export interface LatentVariableDensity {
  kind: 'latent';
  latentSize: number;
  /** Whether p(z) is N(0, I). */
  isStandard?: boolean;
  /** Normals that p(z) is a mixture of, 1 unless given: what log p(z) costs in memory. */
  components?: number;
  /** Names of the parameters that only r(z|w) uses: what is trained along when the encoder is. */
  encoder: readonly string[];
  of(parameters: Tensors): LatentDensity;
  /** p(w|z) where it is a diagonal normal over pixels: z [.., l] → [.., d]. */
  decode?(parameters: Tensors, z: tf.Tensor): DiagonalNormal;
}

export interface ExactDensity {
  kind: 'exact';
  /** Components of a mixture, 1 unless given: what log p(w) costs in memory. */
  components?: number;
  /** log p(w): [.., d] → [..], nats. */
  logDensity(parameters: Tensors, w: tf.Tensor): tf.Tensor;
  /** E_q log p(w) of n kernels, [n, d] → [n], nats; left out where it has no closed form. */
  expectedLogDensity?(parameters: Tensors, q: DiagonalNormal): tf.Tensor;
}

/** Kernels to fit a prior on: rows of d = channels·h·w numbers, [n, d]. */
export type TrainingKernels = Kernels;

/** What a long computation is given beside its data. */
export interface FitWork {
  engine: Engine;
  /** Called between its parts with what it is at; may wait, and may throw to end it. */
  tick(detail: string): Promise<void>;
}

export interface LearnerStart {
  trainable: Arrays;
  fixed: Arrays;
  /** Fixed arrays of rows that each step replaces by so many training kernels, drawn anew. */
  resampled?: Readonly<Record<string, number>>;
}

/** A family whose parameters are found by stochastic gradients of a bound. */
export interface Learner<C> {
  /** The density fitted before the first step, where the steps start from one: a noun phrase, such as "the mixture". */
  startsFrom?(config: C): string | undefined;
  /** Fixed arrays that are fitted before the first step. */
  prepare?(kernels: TrainingKernels, config: C, key: Key, work: FitWork): Promise<Arrays>;
  initial(kernels: TrainingKernels, config: C, key: Key, prepared?: Arrays): LearnerStart;
  /** Standard normals for one batch. */
  noise(batch: number, config: C, size: KernelSize): Specs;
  /** The lower bound of log p(w) to maximise, [batch], nats per kernel. */
  bound(parameters: Tensors, w: tf.Tensor, noise: Tensors, size: KernelSize, config: C): tf.Tensor;
}

/** What reads the prior of a folder. */
export interface StoredFamily<C extends Record<string, unknown> = Record<string, unknown>> {
  name: string;
  summary: string;
  config: z.ZodType<C>;
  /** Reads a configuration that is stored, where a field that older folders lack means another value than its default. */
  storedConfig?: z.ZodType<C>;
  /** @throws DwpError INPUT when the arrays are not those of this family, size and configuration */
  prior(size: KernelSize, config: C, parameters: Arrays): KernelPrior;
  /** Numbers that the fit chose; all that are stored unless given, which counts nothing twice. */
  freeNumbers?(size: KernelSize, config: C, parameters: Arrays): number;
}

/** A row of dwp compare-priors: a family with some of its configuration. */
export interface ComparedFit {
  /** On the command line, and of the folder of the prior. */
  name: string;
  /** In the table. */
  label: string;
  /** What differs from the family's defaults. */
  config: Readonly<Record<string, unknown>>;
}

/** A family of priors: one file, one line in index.ts. */
export interface PriorFamily<C extends Record<string, unknown> = Record<string, unknown>>
  extends StoredFamily<C> {
  /** Its fields are options of dwp fit-prior, with their descriptions and defaults. */
  config: z.ZodType<C> & { readonly shape: Readonly<Record<string, z.ZodType>> };
  /**
   * Where dwp fit-prior may choose it by itself, as its density is exact and a fit to these kernels takes seconds: what
   * differs from its defaults in the trial, to be quicker and no better.
   */
  automatic?(kernels: TrainingKernels): Partial<C> | undefined;
  /** Rows of dwp compare-priors, from the plainest to the richest: one of the defaults unless given. */
  compared?: readonly ComparedFit[];
  fit:
    | { kind: 'closed-form'; parameters(kernels: TrainingKernels, config: C): Arrays }
    | {
        kind: 'iterative';
        parameters(kernels: TrainingKernels, config: C, key: Key, work: FitWork): Promise<Arrays>;
      }
    | ({ kind: 'gradient' } & Learner<C>);
}
