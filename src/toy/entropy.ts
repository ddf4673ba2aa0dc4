// E_q log q of a fitted q as far as it can be known: exactly, or between bounds (4) and (5) with many samples of ζ.
import { lowerBound, PROPOSALS, proposalOf, upperBound } from '../bounds/hierarchical.js';
import { type Engine, foldIn, type Key, noiseFor, spec, tf } from '../engine/index.js';
import type { Sampler } from '../estimators/index.js';
import { type Estimate, meanOf } from '../evaluate/two-sample.js';
import type { Arrays, Tensors } from '../priors/index.js';
import type { Target } from './target.js';

const CHUNK = 50;
const CHUNKS = 8;
/** K of both bounds. */
const SAMPLES = 500;

/**
 * KL(q ‖ p) − log Z from below and from above, nats; the same twice for an exact density, undefined for an unknown
 * one. Of the two proposals, the auxiliary network and q(ζ), the one with the tighter bound is taken on each side.
 */
export async function divergenceBetween(
  target: Target,
  q: Sampler,
  parameters: Arrays,
  engine: Engine,
  key: Key,
  samples = SAMPLES,
): Promise<{ lower: Estimate; upper: Estimate } | undefined> {
  const { density } = q;
  if (density.kind === 'unknown') return undefined;
  const specs = {
    ...q.noise(CHUNK),
    ...(density.kind === 'latent' && { proposed: spec([samples, CHUNK, density.latentSize]) }),
  };
  const step = await engine.compile(
    ({ noise: { proposed, ...own } }, { parameters, data }) => {
      const { w, latent } = q.draw(parameters, own);
      const logTarget = target.logDensity(data, w);
      if (density.kind === 'exact')
        return { exact: tf.sub(density.logDensity(parameters, w), logTarget) } as Tensors;
      const q_ = density.of(parameters);
      return Object.fromEntries(
        PROPOSALS.flatMap((proposal) => {
          const s = proposalOf(q_, w, proposal);
          return [
            [`lower.${proposal}`, tf.sub(lowerBound(q_, w, proposed!, { r: s }), logTarget)],
            [`upper.${proposal}`, tf.sub(upperBound(q_, w, latent!, proposed, { s }), logTarget)],
          ];
        }),
      ) as Tensors;
    },
    { inputs: { noise: specs }, constants: { parameters, data: target.data } },
  );
  const values: Record<string, number[]> = {};
  const noise = noiseFor(specs, key);
  for (let i = 0; i < CHUNKS; i++) {
    noiseFor(specs, foldIn(key, i), noise);
    const result = await step.run({ noise });
    for (const [name, { data }] of Object.entries(result)) values[name] = [...(values[name] ?? []), ...data];
  }
  await step.release();
  const of = (side: string) =>
    Object.entries(values)
      .filter(([name]) => name === 'exact' || name.startsWith(side))
      .map(([, list]) => meanOf(list));
  return {
    lower: of('lower').reduce((a, b) => (b.value > a.value ? b : a)),
    upper: of('upper').reduce((a, b) => (b.value < a.value ? b : a)),
  };
}
