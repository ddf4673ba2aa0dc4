// A prior of every kind that can be exported, from quick fits on a few kernels: of 3×2 pixels, so that height and width
// cannot be mistaken for each other.
import { type Engine, RandomStream, seedKey } from '../../src/engine/index.js';
import { families, type KernelPrior, type TrainingKernels } from '../../src/priors/index.js';
import { defaultFit, fitPrior } from '../../src/train/fit-prior.js';

/** Correlated pixels of two scales. */
export function testKernels(h: number, w: number, count = 300): TrainingKernels {
  const stream = new RandomStream(seedKey(500));
  const data = new Float32Array(count * h * w);
  for (let i = 0; i < count; i++) {
    const scale = i % 3 === 0 ? 0.6 : 0.2;
    const common = stream.normal();
    for (let j = 0; j < h * w; j++)
      data[i * h * w + j] = scale * (0.7 * common + 0.5 * stream.normal()) + 0.02 * j;
  }
  return { h, w, data, count };
}

const VAE = { latent: 3, hidden: 6 };
export const KINDS: Readonly<Record<string, [family: string, config: Record<string, unknown>]>> = {
  ...Object.fromEntries([...families.keys()].map((name) => [name, [name, {}]])),
  flow: ['flow', { layers: 3, hidden: 6 }],
  mixture: ['mixture', { components: 3, members: 2 }],
  'mixture of normals': ['mixture', { components: 3, members: 1, tails: 'normal', straighten: false }],
  vae: ['vae', { ...VAE, components: 3, members: 2 }],
  'vae-pixels': ['vae-pixels', VAE],
  'vae-pixels, shared variance': ['vae-pixels', { ...VAE, variance: 'shared' }],
  'vae-pixels, convolutional': ['vae-pixels', { ...VAE, networks: 'convolutional' }],
  'vae-pixels, vamp': ['vae-pixels', { ...VAE, latentPrior: 'vamp', components: 5 }],
  'vae-pixels, hierarchical': ['vae-pixels', { ...VAE, latentPrior: 'hierarchical' }],
  'vae-pixels, aggregate': ['vae-pixels', { ...VAE, latentPrior: 'aggregate', components: 20 }],
};

export async function fittedPrior(kind: string, engine: Engine, h = 3, w = 2): Promise<KernelPrior> {
  const [name, config] = KINDS[kind];
  const family = families.get(name)!;
  const options = { ...defaultFit, steps: 20, validateEvery: 10, batch: 50 };
  const parsed = family.config.parse(config);
  return (
    await fitPrior({ family, kernels: testKernels(h, w), config: parsed, options, engine, key: seedKey(501) })
  ).prior;
}
