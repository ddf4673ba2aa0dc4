// A fitted VAE of images on disk: result.json says what it is and how it was judged, weights.safetensors holds its
// numbers, samples.png shows draws.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { DwpError, inputError } from '../errors.js';
import { saveResult, writeFileAtomic, writeJson } from '../formats/files.js';
import { writeFolderAtomic } from '../formats/folders.js';
import { readJson } from '../formats/read-file.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import { imageVae, imageVaeConfig } from '../priors/image-vae.js';
import type { Arrays, KernelPrior, KernelSize } from '../priors/index.js';
import type { FitState } from '../train/fit-prior.js';

/** Stands in the folder until the fit is done. */
const STATE = 'fit.safetensors';
const statePath = (folder: string) => join(folder, STATE);
const PARTS = ['best', 'parameters', 'first', 'second'] as const;

const count = z.int().nonnegative();
const progressOf = z.object({
  step: count,
  stale: count,
  best: z.object({ step: count, validationBound: z.number() }),
  trace: z.array(z.object({ step: count, trainBound: z.number(), validationBound: z.number() })),
});

export const hasImageFit = (folder: string): boolean => existsSync(statePath(folder));
export const removeImageFit = (folder: string): void => rmSync(statePath(folder), { force: true });

/** Into a folder that is there, or a new one with everything in it. */
const writeInto = (folder: string, write: (folder: string) => void) =>
  existsSync(folder) ? write(folder) : writeFolderAtomic(folder, write);

/** @param input the options of the fit, plain data */
export function writeImageFit(folder: string, input: object, { adam, best, ...rest }: FitState): void {
  const { parameters: kept, ...at } = best;
  const groups: Record<(typeof PARTS)[number], Arrays> = {
    best: kept,
    parameters: adam.parameters,
    ...adam.moments,
  };
  const tensors = Object.fromEntries(
    PARTS.flatMap((part) => Object.entries(groups[part]).map(([name, x]) => [`${part}/${name}`, x])),
  );
  const metadata = { input: JSON.stringify(input), state: JSON.stringify({ ...rest, best: at }) };
  writeInto(folder, (path) => writeSafetensors(statePath(path), tensors, metadata));
}

/** @throws DwpError INPUT when there is no fit to go on with, or it is damaged */
export function readImageFit(folder: string): { input: unknown; state: FitState } {
  if (!hasImageFit(folder))
    throw inputError(
      `${folder}: there is no interrupted fit`,
      `dwp fit-images keeps ${STATE} in the folder until the fit is finished`,
    );
  const path = statePath(folder);
  const { tensors, metadata } = readSafetensors(path);
  const [best, parameters, first, second] = PARTS.map((part) =>
    Object.fromEntries(
      Object.entries(tensors)
        .filter(([name]) => name.startsWith(`${part}/`))
        .map(([name, x]) => [name.slice(part.length + 1), x]),
    ),
  );
  try {
    const { best: at, ...rest } = progressOf.parse(JSON.parse(metadata.state));
    return {
      input: JSON.parse(metadata.input),
      state: {
        ...rest,
        best: { ...at, parameters: best },
        adam: { parameters, moments: { first, second } },
      },
    };
  } catch (error) {
    throw inputError(`${path}: damaged`, 'start the fit again', error);
  }
}

const description = z.object({ config: imageVaeConfig });

/**
 * @param result plain data, `config` among them
 * @throws DwpError INPUT when it cannot be written, which says where it was written instead
 */
export function writeImageFolder(
  folder: string,
  vae: KernelPrior,
  result: { config: KernelPrior['config'] },
  samplesPng: Uint8Array,
): void {
  const fill = (path: string) => {
    writeSafetensors(join(path, 'weights.safetensors'), vae.parameters);
    writeFileAtomic(join(path, 'samples.png'), samplesPng);
    writeJson(join(path, 'result.json'), result);
  };
  saveResult(folder, (path) => writeInto(path, fill));
}

/** @throws DwpError INPUT when the folder does not hold a VAE of images of that size */
export function readImageFolder(folder: string, size: KernelSize): KernelPrior {
  const path = join(folder, 'result.json');
  const parsed = description.safeParse(readJson(path));
  if (!parsed.success)
    throw inputError(
      `${path}: ${parsed.error.issues[0].path.join('.')}: ${parsed.error.issues[0].message}`,
      'expected a folder written by dwp fit-images',
    );
  const weights = join(folder, 'weights.safetensors');
  const { tensors } = readSafetensors(weights);
  for (const [name, { data }] of Object.entries(tensors))
    if (!data.every(Number.isFinite))
      throw inputError(`${weights}: ${name} holds values that are not finite`, 'fit the VAE again');
  try {
    return imageVae.prior(size, parsed.data.config, tensors);
  } catch (error) {
    if (error instanceof DwpError)
      throw inputError(`${weights}: ${error.message}`, `images are ${size.h}x${size.w}`, error);
    throw error;
  }
}
