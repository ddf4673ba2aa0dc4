// From run folders to what the report room draws.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Engine, seedKey } from '../engine/index.js';
import { readNpy } from '../formats/npy.js';
import { sizeText } from '../kernels/index.js';
import { readTrace } from '../methods/trained-networks.js';
import { partOfLayers } from '../network/index.js';
import { readPriorFolder } from '../prior-folders/prior-folder.js';
import { kernelLength } from '../priors/index.js';
import { priorPaths } from '../problems/options.js';
import { methodOf } from '../runs/config.js';
import { readRunConfig } from '../runs/config-file.js';
import { environment } from '../runs/run.js';
import { type RunSummary, readSummary } from '../runs/summary.js';
import { samplePrior } from '../train/sample-prior.js';
import { type ComparisonRow, comparisonRows, conclusion, type FinishedRun } from './compare.js';
import { runLabels } from './run-labels.js';

const SHOWN = 64;

/** Everything of one run that can be shown. */
export interface RunFigures {
  path: string;
  label: string;
  prior: string;
  examples: number;
  split: number;
  trace: ReturnType<typeof readTrace>;
  filters: { layer: string; h: number; w: number; kernels: number[][] }[];
  ensemble: RunSummary['ensemble'];
  reliability: RunSummary['reliability'];
  test: RunSummary['test'];
  /** The fitted prior of each layer. */
  layerPriors: NonNullable<RunSummary['priors']>;
}

export interface PriorFigures {
  name: string;
  size: string;
  family: string;
  h: number;
  w: number;
  real: number[][];
  samples: number[][];
  densities: { name: string; natsPerKernel: number; standardError: number; bound: boolean }[];
}

export interface Figures {
  rows: ComparisonRow[];
  sentence: string;
  environment: Record<string, string>;
  runs: RunFigures[];
  priors: PriorFigures[];
}

/** Finished runs from folders, labelled by what sets them apart. @throws DwpError INPUT where a folder holds no finished run. */
export function finishedRuns(paths: readonly string[]): FinishedRun[] {
  const runs = paths.map((path) => ({ path, config: readRunConfig(path), summary: readSummary(path) }));
  const labels = runLabels(
    runs.map(({ config, summary }) => ({ plain: `${summary.prior} (from ${summary.init})`, config })),
  );
  return runs.map(({ path, summary }, i) => ({ path, label: labels[i], summary }));
}

export async function gatherFigures(finished: readonly FinishedRun[], engine: Engine): Promise<Figures> {
  const rows = comparisonRows(finished);
  const priors = await gatherPriors(
    finished.flatMap(({ path }) => priorPaths(readRunConfig(path))),
    engine,
  );
  return {
    rows,
    sentence: conclusion(rows),
    environment: environment(),
    runs: finished.map(runFigures),
    priors,
  };
}

/** Each folder once; those that are gone are left out. */
export async function gatherPriors(paths: readonly string[], engine: Engine): Promise<PriorFigures[]> {
  const priors: PriorFigures[] = [];
  for (const path of new Set(paths))
    if (existsSync(join(path, 'prior.json'))) priors.push(await priorFigures(path, engine));
  return priors;
}

function runFigures({ path, label, summary }: FinishedRun): RunFigures {
  const config = readRunConfig(path);
  const parameters = methodOf(config).networks(path, config).at(-1)!; // one of those that predict together
  const filters = Object.entries(partOfLayers(parameters, 'mean')).flatMap(([layer, { shape, data }]) => {
    if (shape.length !== 4 || shape[2] * shape[3] === 1) return [];
    const [, , h, w] = shape;
    return [{ layer, h, w, kernels: rowsOf(data as Float32Array, h * w) }];
  });
  const { prior, priors = [], examples, split, ensemble, reliability, test } = summary;
  return {
    path,
    label,
    prior,
    examples,
    split,
    trace: readTrace(path),
    filters,
    ensemble,
    reliability,
    test,
    layerPriors: priors,
  };
}

async function priorFigures(path: string, engine: Engine): Promise<PriorFigures> {
  const { prior, about } = readPriorFolder(path);
  const { h, w } = prior.size;
  const d = kernelLength(prior.size);
  const realPath = join(path, 'real.npy');
  const real = existsSync(realPath) ? rowsOf(readNpy(realPath).data, d) : [];
  const samples = rowsOf(await samplePrior(prior, SHOWN, engine, seedKey(0)), d);
  const label: Record<string, string> = {
    standardNormal: 'N(0, I)',
    isotropic: 'N(0, s²I)',
    gaussian: 'Gaussian, full covariance',
  };
  const judged = about.test ? [[prior.family, about.test] as const] : [];
  // a family that is a baseline, too, stands once
  const baselines = Object.entries(about.baselines).filter(([name]) => name !== prior.family || !about.test);
  const densities = [...judged, ...baselines].map(([name, d]) => ({
    name: label[name] ?? name,
    natsPerKernel: d.bound ?? d.logDensity ?? Number.NaN,
    standardError: d.standardError,
    bound: d.bound !== undefined,
  }));
  return {
    name: `${about.source.name}, ${sizeText(prior.size).replaceAll('x', '×')}`,
    size: sizeText(prior.size),
    family: prior.family,
    h,
    w,
    real,
    samples,
    densities,
  };
}

const rowsOf = (data: Float32Array, d: number): number[][] =>
  Array.from({ length: Math.min(SHOWN, Math.floor(data.length / d)) }, (_, i) => [
    ...data.subarray(i * d, (i + 1) * d),
  ]);
