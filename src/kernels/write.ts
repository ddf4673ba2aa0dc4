// Second pass: the planned kernels of each layer go from the model into the arrays, normalised on the way.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FileWork } from '../formats/file-work.js';
import { NpyWriter } from '../formats/npy-writer.js';
import { hasBit } from './bits.js';
import type { SliceSums } from './clean.js';
import { type LayerRecord, MOST_MEASURED, type SizeRecord } from './description.js';
import { parseSize, type SizeText } from './kernels.js';
import type { Normalisation } from './options.js';
import type { PlannedLayer, SizePlan } from './plan.js';
import { type Quality, QualityAccumulator } from './quality/index.js';

interface Side {
  kernels: NpyWriter;
  /** With `unit`: the norm that each row was divided by. */
  scales?: NpyWriter;
  rows: number;
}

/** Writes the arrays of one size, layer by layer in the order of the plan. */
export class SizeWriter {
  private readonly train: Side;
  private readonly test: Side | undefined;
  /** Over every value of the train kernels, as stored. */
  private sum = 0;
  private squares = 0;
  private readonly d: number;
  private readonly shape: { h: number; w: number; channels: number };
  private readonly models = new Map<number, QualityAccumulator>();

  /** @param folder of the dataset; this size's own is made in it */
  constructor(
    folder: string,
    size: SizeText,
    private readonly plan: Pick<SizePlan, 'train' | 'test'>,
    private readonly normalize: Normalisation,
    files: FileWork,
  ) {
    const { h, w, channels = 1 } = parseSize(size);
    this.shape = { h, w, channels };
    this.d = channels * h * w;
    const sizeFolder = join(folder, size);
    mkdirSync(sizeFolder);
    const writer = (name: string, shape: number[]) => new NpyWriter(join(sizeFolder, name), shape, files);
    const row = channels > 1 ? [channels, h, w] : [h, w];
    const side = (name: string, rows: number): Side => ({
      kernels: writer(`${name}.npy`, [rows, ...row]),
      ...(normalize === 'unit' && { scales: writer(`${name}.scale.npy`, [rows]) }),
      rows: 0,
    });
    this.train = side('train', plan.train);
    this.test = plan.test > 0 ? side('test', plan.test) : undefined;
  }

  /** @param data every slice of the layer, cleaned and left out ones too */
  add(
    data: Float32Array,
    layer: PlannedLayer,
  ): Pick<LayerRecord, 'train' | 'test' | 'statistics' | 'scale' | 'quality'> {
    const { d } = this;
    const { found, count } = layer;
    const offsets = { train: this.train.rows, test: this.test?.rows ?? 0 };
    const norms = this.normalize === 'unit' ? new Float32Array(found) : undefined;
    const { sum, squares, least, most, sides } = this.sums(data, layer, norms);
    const scale =
      this.normalize === 'unit'
        ? null
        : this.normalize === 'layer' && count > 0
          ? Math.sqrt(squares / (count * d))
          : 1;
    this.sum += sides.train[0] / (scale ?? 1);
    this.squares += sides.train[1] / (scale ?? 1) ** 2;
    this.copy(data, layer, scale ?? 1, norms);
    return {
      train: { offset: offsets.train, count: count - layer.testCount },
      test: { offset: offsets.test, count: layer.testCount },
      statistics:
        count === 0
          ? null
          : { ...moments(sum, squares, count * d), minNorm: Math.sqrt(least), maxNorm: Math.sqrt(most) },
      scale,
      ...(count > 0 && { quality: this.measure(data, layer) }),
    };
  }

  /** Over the layer's kernels as they are, and for each side over what is stored, but for the layer's scale. */
  private sums(
    data: Float32Array,
    layer: PlannedLayer,
    norms: Float32Array | undefined,
  ): SliceSums & { sides: { train: [number, number]; test: [number, number] } } {
    const { d } = this;
    const { found, kept, count, test, testCount } = layer;
    if (layer.sums && count === found && !test && !norms) {
      const { sum, squares } = layer.sums;
      const [filled, none]: [number, number][] = [
        [sum, squares],
        [0, 0],
      ];
      return {
        ...layer.sums,
        sides: testCount > 0 ? { train: none, test: filled } : { train: filled, test: none },
      };
    }
    let [sum, squares, least, most] = [0, 0, Number.POSITIVE_INFINITY, 0];
    const sides: { train: [number, number]; test: [number, number] } = { train: [0, 0], test: [0, 0] };
    for (let row = 0; row < found; row++) {
      if (!hasBit(kept, row)) continue;
      let s = 0;
      let q = 0;
      for (let at = row * d, end = at + d; at < end; at++) {
        const x = data[at];
        s += x;
        q += x * x;
      }
      sum += s;
      squares += q;
      if (q < least) least = q;
      if (q > most) most = q;
      const side = isTest(layer, row) ? sides.test : sides.train;
      if (norms) {
        const norm = Math.sqrt(q);
        norms[row] = norm;
        side[0] += s / norm;
        side[1] += 1;
      } else {
        side[0] += s;
        side[1] += q;
      }
    }
    return { sum, squares, least, most, sides };
  }

  /** Quality of some of the layer's kernels, which also count for its model. */
  private measure(data: Float32Array, { model, found, kept, count }: PlannedLayer): LayerRecord['quality'] {
    const { h, w, channels } = this.shape;
    const rows: number[] = []; // of single slices
    const share = Math.min(1, MOST_MEASURED / count);
    for (let row = 0, seen = 0; row < found; row++)
      if (hasBit(kept, row)) {
        if (Math.floor((seen + 1) * share) > Math.floor(seen * share))
          for (let c = 0; c < channels; c++) rows.push(row * channels + c);
        seen++;
      }
    const accumulator = new QualityAccumulator(h, w);
    accumulator.add(data, rows);
    const whole = this.models.get(model) ?? new QualityAccumulator(h, w);
    whole.add(data, rows);
    this.models.set(model, whole);
    const { kernels, sparsity, varianceEntropy, lagOne } = accumulator.finish();
    return { kernels, sparsity, varianceEntropy, lagOne: lagOne?.median ?? null };
  }

  /** Quality by model. */
  qualities(): Map<number, Quality> {
    return new Map([...this.models].map(([model, quality]) => [model, quality.finish()]));
  }

  /** Rows that lie side by side and go to the same file are written at once. */
  private copy(data: Float32Array, layer: PlannedLayer, scale: number, norms?: Float32Array): void {
    const { d } = this;
    const { found, kept } = layer;
    for (let row = 0; row < found; ) {
      if (!hasBit(kept, row)) {
        row++;
        continue;
      }
      const test = isTest(layer, row);
      const side = test ? this.test! : this.train;
      const from = row++;
      while (!norms && row < found && hasBit(kept, row) && isTest(layer, row) === test) row++;
      side.kernels.write(data, from * d, row * d, norms ? norms[from] : scale);
      if (norms) side.scales!.write(norms, from, row);
      side.rows += row - from;
    }
  }

  async finish(): Promise<Pick<SizeRecord, 'train' | 'test' | 'mean' | 'std'>> {
    const part = async ({ kernels, scales, rows }: Side) => ({
      rows,
      sha256: await kernels.finish(),
      ...(scales && { scales: await scales.finish() }),
    });
    return {
      train: await part(this.train),
      ...(this.test && { test: await part(this.test) }),
      ...moments(this.sum, this.squares, this.plan.train * this.d),
    };
  }
}

function isTest({ test, testCount }: PlannedLayer, row: number): boolean {
  return test ? hasBit(test, row) : testCount > 0;
}

/** In double precision: what cancels in the variance is of no weight next to float32's own rounding. */
function moments(sum: number, squares: number, n: number): { mean: number; std: number } {
  const mean = sum / n;
  return { mean, std: Math.sqrt(Math.max(0, squares / n - mean * mean)) };
}
