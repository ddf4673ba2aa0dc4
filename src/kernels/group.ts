// Kernels of one size from one place: their quality, and a sample for pictures and comparisons.
import { concatKernels, type Kernels, takeKernels } from './kernels.js';
import { type Quality, QualityAccumulator } from './quality/accumulator.js';
import { looksLikeNoise } from './quality/noise.js';

export interface KernelGroup {
  layers: number;
  /** All there are, those that are not finite included. */
  kernels: number;
  quality: Quality;
  /** Of the layers, weighted by their filters; null where filters are no longer whole. */
  orthogonality: number | null;
  looksLikeNoise: boolean;
  /** Evenly spaced. */
  sample: Kernels;
}

/** A shift between two sets of so many is known to a few hundredths of a nat. */
const MOST_SAMPLED = 20_000;
/** Huge kernels are sampled less. */
const MOST_WEIGHTS_SAMPLED = 4_000_000;

/** Gathers a group layer by layer. */
export class GroupBuilder {
  private readonly quality: QualityAccumulator;
  private readonly sampled: Kernels[];
  private layers = 0;
  private kernels = 0;
  private filters = 0;
  private orthogonal = 0;

  /** Part of the kernels that is sampled. */
  private readonly share: number;

  /**
   * @param expected kernels that will be added: the sample is spread over them
   * @param mostSampled in the sample, 20,000 at most
   */
  constructor(h: number, w: number, expected: number, mostSampled = MOST_SAMPLED) {
    const most = Math.min(MOST_SAMPLED, mostSampled, Math.ceil(MOST_WEIGHTS_SAMPLED / (h * w)));
    this.share = Math.min(1, most / expected);
    this.quality = new QualityAccumulator(h, w);
    this.sampled = [{ data: new Float32Array(0), count: 0, h, w }];
  }

  /** @param kernels of one layer, or a part of one */
  add(kernels: Kernels): void {
    this.quality.add(kernels.data);
    const rows: number[] = [];
    for (let row = 0; row < kernels.count; row++, this.kernels++)
      if (Math.floor((this.kernels + 1) * this.share) > Math.floor(this.kernels * this.share)) rows.push(row);
    this.sampled.push(takeKernels(kernels, rows));
    this.layers++;
  }

  /** The orthogonality of a layer's filters, where they are whole. */
  addOrthogonality(filters: number, orthogonality: number): void {
    this.filters += filters;
    this.orthogonal += filters * orthogonality;
  }

  finish(): KernelGroup {
    const quality = this.quality.finish();
    return {
      layers: this.layers,
      kernels: this.kernels,
      quality,
      orthogonality: this.filters > 0 ? this.orthogonal / this.filters : null,
      looksLikeNoise: looksLikeNoise(quality),
      sample: concatKernels(this.sampled),
    };
  }
}
