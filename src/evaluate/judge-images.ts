// How likely test images are under a VAE: its bounds with one sample, with few, and with many where there is time for few
// images only.
import { binaryImages, type ImageSet } from '../data/index.js';
import { type Engine, foldIn, type Key, RandomStream } from '../engine/index.js';
import type { KernelPrior } from '../priors/index.js';
import { meanOfTight, streamedBound } from './streamed-bound.js';

/** Samples of the bound that every test image gets. */
export const FEW = 100;

/** Nats per image; the images are binarised once, by the key. */
export interface ImageReport {
  images: number;
  /** Mean of (1). */
  elbo: number;
  /** Mean of (4) with few samples. */
  few: { samples: number; mean: number };
  /** Mean of (4) with all samples, computed for `images` of them and carried over to all by (62). */
  bound: { samples: number; images: number; mean: number; standardError: number };
}

export interface JudgedImages {
  vae: KernelPrior;
  test: ImageSet;
  /** Of the tightest bound, that of `sampledImages` of the images. */
  samples: number;
  sampledImages: number;
  engine: Engine;
  key: Key;
}

/** @param progress called when the bounds of `images` begin, for what is told how many are done */
export async function judgeImages(
  { vae, test, samples, sampledImages, engine, key }: JudgedImages,
  progress: (samples: number, images: number) => { update(done: number): void; stop(): void },
): Promise<ImageReport> {
  const d = test.height * test.width;
  const rows = binaryImages(test, foldIn(key, 'binary'));
  const some = Math.min(sampledImages, test.count);
  const chosen = new RandomStream(foldIn(key, 'chosen')).permutation(test.count).subarray(0, some);
  const chosenRows = new Float32Array(some * d);
  chosen.forEach((row, i) => {
    chosenRows.set(rows.subarray(row * d, (row + 1) * d), i * d);
  });
  const bounds = async (k: number, of: Float32Array) => {
    const { update, stop } = progress(k, of.length / d);
    return streamedBound({ prior: vae, rows: of, samples: k, engine, key: foldIn(key, k) }, update).finally(
      stop,
    );
  };
  const one = await bounds(1, rows);
  const few = await bounds(Math.min(FEW, samples), rows);
  const many = await bounds(samples, chosenRows);
  return {
    images: test.count,
    elbo: mean(one.bounds),
    few: { samples: few.samples, mean: mean(few.bounds) },
    bound: { samples: many.samples, images: some, ...meanOfTight(few.bounds, many.bounds, chosen) },
  };
}

const mean = (x: Float64Array): number => x.reduce((a, b) => a + b, 0) / x.length;
