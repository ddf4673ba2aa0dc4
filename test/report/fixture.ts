// A made-up comparison of three priors: smooth kernels against noise, bounds that rise, nets that are too sure.
import { foldIn, RandomStream, seedKey } from '../../src/engine/random.js';
import type { ReportInput, ReportRow, ReportRun, Spread } from '../../src/report/types.js';

const stream = (...names: (number | string)[]) => new RandomStream(foldIn(seedKey(7), ...names));

export const spread = (values: number[]): Spread => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : Number.NaN, values };
};

/** Oriented edges and blobs, with `noise` added to every weight. */
export function kernels(count: number, size: number, noise: number, random: RandomStream): number[][] {
  return Array.from({ length: count }, () => {
    const angle = 2 * Math.PI * random.uniform();
    const phase = 2 * Math.PI * random.uniform();
    const frequency = 1.1 / size + random.uniform() / size;
    const amplitude = 0.2 + random.uniform();
    return Array.from({ length: size * size }, (_, i) => {
      const y = Math.floor(i / size) - (size - 1) / 2;
      const x = (i % size) - (size - 1) / 2;
      const wave = Math.cos(2 * Math.PI * frequency * (x * Math.cos(angle) + y * Math.sin(angle)) + phase);
      const window = Math.exp(-(x * x + y * y) / (2 * (size / 3) ** 2));
      return amplitude * (wave * window + noise * random.normal());
    });
  });
}

const SETTINGS = [
  { prior: 'dwp', init: 'prior', noise: 0.05, accuracy: [0.8, 0.867, 0.915, 0.945], klNats: 5_000 },
  {
    prior: 'standard-normal',
    init: 'prior',
    noise: 0.9,
    accuracy: [0.717, 0.816, 0.89, 0.938],
    klNats: 9_000,
  },
  { prior: 'none', init: 'filters', noise: 0.3, accuracy: [0.751, 0.827, 0.879, 0.926], klNats: 0 },
];
const SIZES = [50, 100, 200, 500];
const SPLITS = 5;

function row(setting: (typeof SETTINGS)[number], n: number): ReportRow {
  const random = stream('row', setting.prior, n);
  const centre = setting.accuracy[n]!;
  const around = (mean: number, std: number) =>
    spread(Array.from({ length: SPLITS }, () => mean + std * random.normal()));
  return {
    prior: setting.prior,
    init: setting.init,
    label: setting.prior,
    examples: SIZES[n]!,
    runs: SPLITS,
    accuracy: around(centre, 0.02 / (n + 1)),
    nll: around(3.2 * (1 - centre), 0.03),
    ece: around(0.35 * (1 - centre), 0.004),
    brier: around(1.5 * (1 - centre), 0.01),
    seconds: around(58 + 5 * n, 2),
  };
}

function run(setting: (typeof SETTINGS)[number], n: number, split: number): ReportRun {
  const random = stream('run', setting.prior, n, split);
  const accuracy = setting.accuracy[n]! + 0.01 * random.normal();
  const bins = Array.from({ length: 12 }, (_, i) => (i + 3.5) / 15);
  return {
    path: `runs/${setting.prior}-${SIZES[n]}-${split}`,
    label: setting.prior,
    prior: setting.prior,
    examples: SIZES[n]!,
    split,
    trace: Array.from({ length: 251 }, (_, i) => {
      const progress = Math.exp(-i / 25);
      const expectedLogLikelihood = -SIZES[n]! * (0.1 + 3 * progress) + random.normal();
      const priorTerm = setting.klNats && 60_000 - setting.klNats * progress + 20 * random.normal();
      const entropyTerm =
        setting.klNats && -(60_000 + 4 * setting.klNats * progress ** 3 + 0.3 * setting.klNats);
      return {
        step: 40 * i,
        expectedLogLikelihood,
        priorTerm,
        entropyTerm,
        bound: expectedLogLikelihood + priorTerm + entropyTerm,
      };
    }),
    filters: [
      { layer: 'conv1', h: 7, w: 7, kernels: kernels(32, 7, setting.noise, random) },
      {
        layer: 'conv2',
        h: 5,
        w: 5,
        kernels: kernels(64, 5, setting.noise, random),
        initial: kernels(64, 5, 2 * setting.noise, random),
      },
    ],
    ensemble: [1, 2, 5, 10, 20, 50].map((samples) => ({
      samples,
      accuracy: accuracy - 0.02 / samples,
      nll: 3.2 * (1 - accuracy) + 0.2 / samples,
      ece: 0.03 + 0.02 / samples,
    })),
    reliability: bins.map((confidence, i) => ({
      confidence,
      accuracy: Math.min(1, Math.max(0, confidence - 0.25 * (1 - confidence) + 0.02 * random.normal())),
      count: 20 + 5 * i * i * i,
    })),
    test: { accuracy, nll: 3.2 * (1 - accuracy), ece: 0.03, brier: 1.5 * (1 - accuracy), examples: 10_000 },
  };
}

const prior = (name: string, k: number) => ({
  name,
  size: `${k}x${k}`,
  family: 'vae',
  h: k,
  w: k,
  real: kernels(64, k, 0.08, stream('real', k)),
  samples: kernels(64, k, 0.04, stream('samples', k)),
  densities: [
    { name: 'N(0, I)', natsPerKernel: -46.1, bound: false },
    { name: 'N(0, s²I)', natsPerKernel: 6, bound: false },
    { name: 'full-covariance Gaussian', natsPerKernel: 91.8, bound: false },
    { name: 'VAE, one sample', natsPerKernel: 99.5, standardError: 1.2, bound: true },
    { name: 'VAE, 200 samples', natsPerKernel: 103.4, standardError: 1.1, bound: true },
  ],
});

export const realistic = (): ReportInput => ({
  title: 'Deep weight prior on MNIST from few examples',
  generated: '2025-11-03',
  command: 'dwp compare examples/mnist.yaml --out results/mnist',
  environment: {
    'deep-weight-prior': '0.1.0',
    node: 'v20.19.0',
    engine: 'native (onnxruntime 1.30.0)',
    threads: '2',
  },
  sentence:
    'With 100 training images the deep weight prior reached 86.8% against 81.6% with a standard normal prior: kernels learned elsewhere are worth five points.',
  rows: SETTINGS.flatMap((setting) => SIZES.map((_, n) => row(setting, n))),
  reference: SETTINGS.flatMap(({ prior, accuracy }) =>
    SIZES.map((examples, n) => ({ label: `${prior}, published`, examples, accuracy: accuracy[n]! })),
  ),
  runs: SETTINGS.flatMap((setting) => [
    run(setting, 0, 0),
    ...Array.from({ length: SPLITS }, (_, split) => run(setting, 1, split)),
  ]),
  priors: [prior('P7', 7), prior('P5', 5)],
});

export const nothing = (): ReportInput => ({
  title: 'Nothing yet',
  generated: '2025-11-03',
  command: 'dwp report',
  environment: {},
  rows: [],
  runs: [],
  priors: [],
});
