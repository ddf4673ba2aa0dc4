// A fitted prior on disk: prior.json says what it is, weights.safetensors holds its numbers.
import { join } from 'node:path';
import { z } from 'zod';
import { DwpError, inputError } from '../errors.js';
import { saveResult, writeJson } from '../formats/files.js';
import { writeFolderAtomic } from '../formats/folders.js';
import { writeNpy } from '../formats/npy.js';
import { readJson } from '../formats/read-file.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import { ROLES, UNITS, type Units } from '../kernels/index.js';
import { type KernelPrior, kernelLength, makePrior } from '../priors/index.js';
import type { PriorOffer } from './choose-prior.js';
import { priorPath } from './shipped.js';

const density = z.object({
  n: z.number(),
  logDensity: z.number().optional(),
  elbo: z.number().optional(),
  bound: z.number().optional(),
  samples: z.number().optional(),
  latentKl: z.number().optional(),
  withoutEncoder: z.number().optional(),
  standardError: z.number(),
});

/** Of the kernels of a prior that is stored, in each direction. */
export const LARGEST_SIDE = 32;
/** Larger parameters have no squares in float32. */
const LARGEST_PARAMETER = 1e18;

const description = z.object({
  format: z.literal('dwp-prior-1'),
  family: z.string(),
  size: z.object({
    h: z.number().int().min(1).max(LARGEST_SIDE),
    w: z.number().int().min(1).max(LARGEST_SIDE),
    channels: z.number().int().min(2).max(99).optional(),
  }),
  config: z.record(z.string(), z.unknown()),
  /** What it was fitted on. */
  source: z.object({
    name: z.string(),
    sha256: z.string(),
    train: z.number(),
    test: z.number(),
    std: z.number(),
  }),
  /** The layers that its kernels come from, as far as that is known. */
  layers: z
    .object({
      roles: z.array(z.enum(ROLES)).min(1).optional(),
      inputs: z.array(z.number().int().positive()).optional(),
    })
    .optional(),
  /** What its kernels are divided by, layer by layer; nothing unless given. A network's layer multiplies them by √(2/fan-in). */
  units: z.enum(UNITS).optional(),
  /** Families that were tried on train kernels held out, where none was named. */
  chosen: z
    .object({
      heldOut: z.number(),
      folds: z.number(),
      trials: z.array(
        z.object({ family: z.string(), nats: z.number(), behind: z.number(), standardError: z.number() }),
      ),
      skipped: z.array(z.object({ family: z.string(), reason: z.string() })),
    })
    .optional(),
  seed: z.number(),
  seconds: z.number(),
  /** Made of other priors, or changed: how. Nothing was fitted to kernels then. */
  derived: z.object({ how: z.string(), from: z.array(z.string()) }).optional(),
  /** Nats per kernel on the test kernels. */
  test: density.optional(),
  baselines: z.record(z.string(), density),
});

export type PriorDescription = z.infer<typeof description>;

/** Kernels that real.npy keeps. */
const SHOWN = 64;

/**
 * Writes the whole folder or nothing.
 * @param real the kernels it was judged on; the first are kept to be shown beside its samples
 * @throws DwpError INPUT when it cannot be written, which says where the prior was written instead
 */
export function writePriorFolder(
  out: string,
  prior: KernelPrior,
  about: Omit<PriorDescription, 'format' | 'family' | 'size' | 'config'>,
  real?: { data: Float32Array; count: number },
): void {
  const { family, size, config, parameters } = prior;
  const fill = (folder: string) => {
    if (real) {
      const { channels, h, w } = size;
      const count = Math.min(SHOWN, real.count);
      writeNpy(join(folder, 'real.npy'), {
        data: real.data.slice(0, count * kernelLength(size)),
        shape: [count, ...(channels ? [channels] : []), h, w],
      });
    }
    writeSafetensors(join(folder, 'weights.safetensors'), parameters);
    writeJson(join(folder, 'prior.json'), { format: 'dwp-prior-1', family, size, config, ...about });
  };
  saveResult(out, (path) => writeFolderAtomic(path, fill));
}

/**
 * @param name a folder, or `shipped:` and the name of a prior that ships
 * @throws DwpError INPUT when the folder does not hold a prior of a known family, or its weights do not fit
 */
export function readPriorFolder(name: string): { prior: KernelPrior; about: PriorDescription } {
  const folder = priorPath(name);
  const path = join(folder, 'prior.json');
  const parsed = description.safeParse(readJson(path));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw inputError(
      `${path}: ${issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''}${issue.message}`,
      'expected a folder written by dwp fit-prior',
    );
  }
  const about = parsed.data;
  const weightsPath = join(folder, 'weights.safetensors');
  const { tensors } = readSafetensors(weightsPath);
  for (const [name, { data }] of Object.entries(tensors))
    if (!data.every(Number.isFinite))
      throw inputError(`${weightsPath}: ${name} holds values that are not finite`, 'fit the prior again');
  for (const [name, { data }] of Object.entries(tensors))
    if (!data.every((x) => Math.abs(x) <= LARGEST_PARAMETER))
      throw inputError(
        `${weightsPath}: ${name} holds values beyond ±${LARGEST_PARAMETER}, which float32 cannot compute with`,
        'fit the prior again',
      );
  try {
    return { prior: makePrior(about, about.size, tensors), about };
  } catch (error) {
    const named =
      error instanceof DwpError && /^(unknown family|config\.)/.test(error.message) ? path : weightsPath;
    if (error instanceof DwpError) throw inputError(`${named}: ${error.message}`, error.hint, error);
    throw error;
  }
}

/** What is known of the layers of all of them together. */
function layersOf(from: readonly PriorOffer[]): PriorDescription['layers'] {
  const union = <T>(lists: (readonly T[] | undefined)[]) =>
    lists.length > 0 && lists.every((list) => list !== undefined) ? [...new Set(lists.flat())] : undefined;
  const [roles, inputs] = [union(from.map((o) => o.roles)), union(from.map((o) => o.inputs))];
  return roles || inputs ? { ...(roles && { roles }), ...(inputs && { inputs }) } : undefined;
}

/**
 * Writes a prior that was made of those of other folders; what is known of all their layers is known of its own.
 * @param units of its kernels
 */
export function writeDerivedPrior(
  folder: string,
  prior: KernelPrior,
  how: string,
  from: readonly PriorOffer[],
  units?: Units,
): void {
  const layers = layersOf(from);
  writePriorFolder(folder, prior, {
    source: { name: how, sha256: '', train: 0, test: 0, std: 0 },
    seed: 0,
    seconds: 0,
    derived: { how, from: from.map(({ path }) => path) },
    ...(layers && { layers }),
    ...(units && { units }),
    baselines: {},
  });
}
