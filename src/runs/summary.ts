// What a finished run says of itself: summary.json.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { inputError } from '../errors.js';
import type { ClassificationMetrics, EnsembleMetrics, ReliabilityBin } from '../evaluate/index.js';
import { readJson } from '../formats/read-file.js';
import type { ChainReport } from '../methods/chain-report.js';
import type { LayerPriorReport } from '../problems/layer-priors.js';
import type { BoundReport } from '../train/final-bound.js';

export const SUMMARY = 'summary.json';

export interface RunSummary {
  prior: string;
  /** Absent in runs of earlier versions. */
  method?: string;
  /** Which fitted prior each layer has, and why. */
  priors?: LayerPriorReport[];
  init: string;
  examples: number;
  split: number;
  /** On the test images, or on validation images where the configuration says so. */
  judgedOn: 'test' | 'validation';
  test: ClassificationMetrics;
  /** Metrics of growing ensembles. */
  ensemble: EnsembleMetrics[];
  reliability: ReliabilityBin[];
  /** Absent for --prior none. */
  bound?: BoundReport;
  /** Of Markov chains: whether they agree, and what their draws are worth. */
  chains?: ChainReport;
  steps: number;
  /** Of training, without loading and judging; of the last stretch only where the run was resumed. */
  seconds: number;
  /** Hash of what decides the result in config.yaml; absent in runs of earlier versions. */
  configuration?: string;
}

/** What readers of a summary rely on. A figure that is not finite is null in JSON. */
const figure = z.number().nullable();
const summarySchema = z.looseObject({
  prior: z.string(),
  init: z.string(),
  examples: z.number(),
  split: z.number(),
  test: z.looseObject({ accuracy: figure, nll: figure, ece: figure, brier: figure, examples: z.number() }),
  ensemble: z.array(z.looseObject({ samples: z.number(), accuracy: figure, nll: figure })),
  reliability: z.array(z.looseObject({ count: z.number() })),
  steps: z.number(),
  seconds: z.number(),
});

/** @throws DwpError INPUT when the run has not finished, or its summary is not one. */
export function readSummary(folder: string): RunSummary {
  const path = join(folder, 'summary.json');
  if (!existsSync(path))
    throw inputError(
      `${folder} has no summary.json: the run has not finished`,
      `continue it with dwp train --resume ${folder}`,
    );
  const summary = readJson(path);
  const parsed = summarySchema.safeParse(summary);
  if (parsed.success) return summary as RunSummary;
  throw inputError(
    `${path}: ${parsed.error.issues[0].path.join('.')}: ${parsed.error.issues[0].message}`,
    'the summary is damaged: remove it, and dwp train --resume makes it again',
  );
}
