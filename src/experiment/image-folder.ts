// A fitted VAE of images on disk: result.json says what it is and how it was judged, weights.safetensors holds its
// numbers, samples.png shows draws.
import { join } from 'node:path';
import { z } from 'zod';
import { DwpError, inputError } from '../errors.js';
import { readJson, writeFileAtomic, writeJson } from '../formats/files.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import { imageVae, imageVaeConfig } from '../priors/image-vae.js';
import type { KernelPrior, KernelSize } from '../priors/index.js';

const description = z.object({ config: imageVaeConfig });

/** @param result plain data, `config` among them */
export function writeImageFolder(
  folder: string,
  vae: KernelPrior,
  result: { config: KernelPrior['config'] },
  samplesPng: Uint8Array,
): void {
  writeSafetensors(join(folder, 'weights.safetensors'), vae.parameters as never);
  writeFileAtomic(join(folder, 'samples.png'), samplesPng);
  writeJson(join(folder, 'result.json'), result);
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
