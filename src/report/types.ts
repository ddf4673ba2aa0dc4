// What a report is made from: plain data, gathered from run and prior folders by whoever asks for the page.

import type { ComparisonRow, Spread } from '../plans/compare.js';

export type { Spread };

/** One cell of the comparison: a prior, an initialisation and a number of training examples. */
export type ReportRow = ComparisonRow;

/** A published value, drawn as a hollow mark. */
export interface ReferencePoint {
  label: string;
  examples: number;
  accuracy: number;
}

/** The bound and its parts at one step, in nats over the whole training set, at temperature 1. */
export interface TracePoint {
  step: number;
  /** Lower bound of the log evidence: expectedLogLikelihood + priorTerm + entropyTerm. */
  bound: number;
  /** E_q log p(D|W). */
  expectedLogLikelihood: number;
  /** Lower bound of E_q log p(W). */
  priorTerm: number;
  /** H[q] = −E_q log q(W), or a lower bound of it. Like priorTerm 0 where there is no prior. */
  entropyTerm: number;
}

/** Kernels of one layer: up to 64 posterior means, each [h, w] row-major. */
export interface LayerFilters {
  layer: string;
  h: number;
  w: number;
  kernels: number[][];
  initial?: number[][];
}

export interface EnsemblePoint {
  samples: number;
  accuracy: number;
  nll: number;
  ece: number;
}

/** One bin of predictions: mean confidence, fraction that were right, how many. */
export interface ReliabilityBin {
  confidence: number;
  accuracy: number;
  count: number;
}

/** Of a layer of a run: whether its prior is a fallback, and what was learned of it. */
export interface LayerPrior {
  layer: string;
  family: string;
  reason: string;
  substitute?: boolean;
  learned?: { scale?: number; weights?: number[] };
}

export interface ReportRun {
  /** Fitted priors by layer. */
  layerPriors?: LayerPrior[];
  path: string;
  label: string;
  prior: string;
  examples: number;
  split: number;
  trace: TracePoint[];
  filters: LayerFilters[];
  ensemble: EnsemblePoint[];
  reliability: ReliabilityBin[];
  test: { accuracy: number; nll: number; ece: number; brier: number; examples: number };
}

/** A density of the test kernels under one model; `bound` tells a lower bound from an exact value. */
export interface ReportDensity {
  name: string;
  natsPerKernel: number;
  standardError?: number;
  bound: boolean;
}

export interface ReportPrior {
  name: string;
  size: string;
  family: string;
  /** Up to 64 real kernels, each [h, w] row-major. */
  real: number[][];
  /** Up to 64 draws of the prior, each [h, w] row-major. */
  samples: number[][];
  h: number;
  w: number;
  densities: ReportDensity[];
}

export interface ReportInput {
  title: string;
  /** ISO date, given by the caller. */
  generated: string;
  /** The command that makes this page again. */
  command: string;
  environment: Record<string, string>;
  /** What was seen, in one sentence. */
  sentence?: string;
  rows: ReportRow[];
  reference?: ReferencePoint[];
  runs: ReportRun[];
  priors: ReportPrior[];
}
