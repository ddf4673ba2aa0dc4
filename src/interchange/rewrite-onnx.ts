// Any ONNX network, with samples of kernel priors in place of its convolution kernels: their bytes are written
// over in a copy of the ONNX file, everything else is kept.
import { type Engine, foldIn, type Key, RandomStream, sizeOf } from '../engine/index.js';
import { usageError } from '../errors.js';
import { fromFloat32 } from '../formats/floats.js';
import { type ByteSource, memorySource, readAll } from '../formats/source.js';
import { findWeightPlaces, type WeightPlace } from '../importers/onnx-places.js';
import { heStd, sizeText, type Units } from '../kernels/index.js';
import { type KernelPrior, kernelLength, scalePrior } from '../priors/index.js';
import { samplePrior } from '../train/sample-prior.js';

export const SCALES = ['prior', 'keep'] as const;
export const FALLBACKS = ['leave', 'he'] as const;

export interface RewriteOptions {
  /** `keep`: samples are multiplied so that the layer's root mean square stays what it was. */
  scale: (typeof SCALES)[number];
  /** What becomes of layers of a size that no prior has: nothing, or He et al.'s normal initialisation. */
  fallback: (typeof FALLBACKS)[number];
  progress?(done: number, total: number, layer: string): void;
}

export interface RewrittenLayer {
  layer: string;
  shape?: number[];
  dtype?: string;
  /** The prior's folder, `he`, or nothing where the layer was left. */
  from?: string;
  /** Why it was left. */
  reason?: string;
  /** Root mean square of the weights. */
  before?: number;
  after?: number;
}

/** Numbers that drawing kernels may need at once: a mixture takes a matrix for each kernel. */
const AT_ONCE = 4e6;

/** A prior, and what its kernels are divided by. */
export interface UnitPrior {
  prior: KernelPrior;
  units?: Units;
}

/** (140) at the scale of He's start of a layer. */
const inWeights = ({ prior, units }: UnitPrior, shape: readonly number[]): KernelPrior =>
  units === undefined ? prior : scalePrior(prior, Math.log(heStd(shape)));

/**
 * @param priors by the folders they are in
 * @throws DwpError USAGE when two priors have the same size; INPUT when the model is no ONNX file of its own
 */
export async function rewriteModel(
  source: ByteSource,
  priors: Readonly<Record<string, UnitPrior>>,
  { scale, fallback, progress }: RewriteOptions,
  engine: Engine,
  key: Key,
): Promise<{ bytes: Uint8Array; layers: RewrittenLayer[] }> {
  const bySize = new Map<string, UnitPrior & { path: string }>();
  for (const [path, { prior, units }] of Object.entries(priors)) {
    const size = sizeText(prior.size);
    const other = bySize.get(size);
    if (other)
      throw usageError(
        `${other.path} and ${path} are both priors of size ${size}`,
        'give one prior for each size',
      );
    bySize.set(size, { path, prior, units });
  }
  const bytes = readAll(source);
  const { places, left } = findWeightPlaces(memorySource(bytes, source.path));
  const layers: RewrittenLayer[] = [];
  for (const [i, place] of places.entries()) {
    const { layer, shape, dtype } = place;
    progress?.(i, places.length, layer);
    const own = place.read();
    const before = rootMeanSquare(own);
    // whole filters where there is a prior of them
    const whole = place.transposed ? undefined : bySize.get(shape.slice(1).join('x'));
    const fitted = whole ?? bySize.get(shape.slice(2).join('x'));
    if (!fitted && fallback === 'leave') {
      const reason = `no prior of ${shape.slice(2).join('x')}`;
      layers.push({ layer, shape, dtype, reason, before, after: before });
      continue;
    }
    const layerKey = foldIn(key, i);
    const drawn = fitted
      ? await samples(inWeights(fitted, shape), place, engine, layerKey)
      : heNormal(place, layerKey);
    const factor = scale === 'keep' ? before / (rootMeanSquare(drawn) || 1) : 1;
    if (factor !== 1) for (let j = 0; j < drawn.length; j++) drawn[j] *= factor;
    const encoded = fromFloat32(drawn, dtype);
    let at = 0;
    for (const { start, end } of place.parts) {
      bytes.set(encoded.subarray(at, at + end - start), start);
      at += end - start;
    }
    layers.push({ layer, shape, dtype, from: fitted?.path ?? 'he', before, after: rootMeanSquare(drawn) });
  }
  return { bytes, layers: [...layers, ...left] };
}

const rootMeanSquare = (x: Float32Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);

async function samples(
  prior: KernelPrior,
  { shape }: WeightPlace,
  engine: Engine,
  key: Key,
): Promise<Float32Array> {
  const d = kernelLength(prior.size);
  const drawn = new Float32Array(sizeOf(shape));
  const most = Math.max(1, Math.floor(AT_ONCE / d ** 2));
  for (let at = 0, chunk = 0; at < drawn.length; at += most * d, chunk++) {
    const count = Math.min(most, (drawn.length - at) / d);
    drawn.set(await samplePrior(prior, count, engine, foldIn(key, chunk)), at);
  }
  return drawn;
}

/** N(0, 2 / fan-in), the inputs of a group counted (He et al. 2015). */
function heNormal({ shape, transposed }: WeightPlace, key: Key): Float32Array {
  const fanIn = (transposed ? shape[0] : shape[1]) * shape[2] * shape[3];
  const drawn = new RandomStream(key).fillNormal(new Float32Array(sizeOf(shape)));
  return drawn.map((x) => x * Math.sqrt(2 / fanIn)) as Float32Array;
}
