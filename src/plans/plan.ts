// A plan of runs: methods × numbers of examples × splits, from a YAML file.

import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { DwpError, inputError, messageOf, usageError } from '../errors.js';
import { readText } from '../formats/read-file.js';
import { isShipped } from '../prior-folders/shipped.js';
import { isNetworkFile } from '../problems/network-file.js';
import { parseRunConfig, type RunConfig } from '../runs/config.js';
import { withoutHeadings } from '../runs/config-file.js';
import { randomFeatures } from './feature-options.js';

const settings = z.record(z.string(), z.unknown());

export const PLAN_KINDS = ['runs', 'random-features'] as const;

const planSchema = z.strictObject({
  /** Networks that are trained, or only a classifier on features of their starts. */
  kind: z.enum(PLAN_KINDS).default('runs'),
  title: z.string().default('Comparison of kernel priors'),
  /** Run options of every method. */
  base: settings.default({}),
  /** A label, and run options that differ from the base. */
  methods: z.array(z.looseObject({ label: z.string().min(1).max(80) })).min(1, 'list at least one method'),
  examples: z.array(z.number().int().min(1)).min(1, 'list at least one number of examples'),
  splits: z.array(z.number().int().min(0)).min(1, 'list at least one split'),
  /** Published accuracies to show beside the measured ones. */
  reference: z
    .array(z.strictObject({ label: z.string(), examples: z.number(), accuracy: z.number() }))
    .default([]),
});

/** More runs than this are refused: at a minute each they would take a week. */
export const MAX_RUNS = 10_000;

export interface PlannedRun {
  label: string;
  /** Name of its folder. */
  name: string;
  config: RunConfig;
}

export interface Plan {
  kind: (typeof PLAN_KINDS)[number];
  title: string;
  runs: PlannedRun[];
  reference: { label: string; examples: number; accuracy: number }[];
}

/** @throws DwpError USAGE when the plan is not valid; INPUT when the file cannot be read. */
export function readPlan(path: string): Plan {
  let raw: unknown;
  try {
    raw = parseYaml(readText(path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'INPUT') throw error;
    throw inputError(`${path}: not valid YAML (${messageOf(error)})`);
  }
  return makePlan(raw, path, dirname(path));
}

/**
 * @param name of the plan, for errors
 * @param folder that relative paths in the plan start from
 */
export function makePlan(raw: unknown, name: string, folder: string): Plan {
  const parsed = planSchema.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw usageError(
      `${name}: ${issue.path.join('.') || 'plan'}: ${issue.message}`,
      'see examples/compare.yaml',
    );
  }
  const { kind, title, base, methods, examples, splits, reference } = parsed.data;
  const count = methods.length * examples.length * splits.length;
  if (count > MAX_RUNS)
    throw usageError(
      `${name}: ${methods.length} methods × ${examples.length} numbers of examples × ${splits.length} splits are ${count} ` +
        `runs, more than the limit of ${MAX_RUNS}`,
      'divide it into several plans',
    );
  const labels = methods.map(({ label }) => label);
  for (const [what, list] of Object.entries({ methods: labels, examples, splits }))
    for (const [at, item] of (list as unknown[]).entries())
      if (list.indexOf(item as never) < at)
        throw usageError(
          `${name}: ${JSON.stringify(item)} is listed twice in ${what}`,
          what === 'methods' ? 'give every method its own label' : 'remove one of them',
        );
  const names = folderNames(labels);
  const known = kind === 'random-features' ? new Map([[randomFeatures.name, randomFeatures]]) : undefined;
  const runs = methods.flatMap(({ label, ...method }) =>
    examples.flatMap((n) =>
      splits.map((split): PlannedRun => {
        const settings = { ...withoutHeadings(method), examples: n, split };
        const config = inMethod(name, label, () =>
          parseRunConfig(settings, { known, base: withoutHeadings(base), nameOf: (key) => key }),
        );
        return {
          label,
          name: `${names.get(label)}-${n}-${split}`,
          config: withPathsFrom(folder, config),
        };
      }),
    ),
  );
  return { kind, title, runs, reference };
}

/** Runs what may find an option of a method wrong, and says of which. */
function inMethod<T>(plan: string, label: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DwpError)) throw error;
    throw new DwpError(
      error.code,
      `${plan}: method "${label}": ${error.message}`,
      'run options are those of dwp train --help, in camelCase',
    );
  }
}

/** The same run with paths that do not depend on where the program was started. */
export function withPathsFrom(folder: string, config: RunConfig): RunConfig {
  const absolute = (path: string) => resolve(folder, path);
  const { arch, dataDir, priorPath, filters } = config;
  return {
    ...config,
    ...(dataDir && { dataDir: absolute(dataDir) }),
    ...(typeof arch === 'string' && isNetworkFile(arch) && { arch: absolute(arch) }),
    priorPath: priorPath.map((path) => (isShipped(path) ? path : absolute(path))),
    ...(filters && { filters: filters.map(absolute) }),
  };
}

/**
 * A folder name for each label, made of its letters and digits. Where an earlier label has the same ones, a digest makes
 * the difference, so that names stay as they are when methods are added at the end of a plan.
 */
function folderNames(labels: readonly string[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const label of labels) {
    const plain = slug(label);
    const taken = [...names.values()].includes(plain);
    names.set(label, taken ? `${[...plain].slice(0, 40).join('')}-${digest(label)}` : plain);
  }
  return names;
}

const digest = (label: string) => createHash('sha256').update(label).digest('hex').slice(0, 8);

const slug = (label: string) =>
  label
    .normalize('NFC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '') || 'method';
