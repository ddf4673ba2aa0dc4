// The library as programs use it: the example runs as it stands in the README, and a program adds a kind of layer, an
// architecture, a family of priors and a method of its own without touching any file of ours.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { familyConfig, familyOptions } from '../src/cli/family-options.js';
import { createEngine, f32, foldIn, RandomStream, seedKey, spec, tf } from '../src/engine/index.js';
import { evaluateDensity } from '../src/evaluate/density.js';
import { predictions } from '../src/evaluate/index.js';
import { networkToOnnx } from '../src/interchange/export-onnx.js';
import { type Method, methods } from '../src/methods/index.js';
import {
  architectures,
  buildArchitecture,
  forward,
  type LayerKind,
  layerKinds,
  namedArchitecture,
  noArrays,
} from '../src/network/index.js';
import { comparedPriors } from '../src/prior-folders/compared-priors.js';
import { readPriorFolder } from '../src/prior-folders/prior-folder.js';
import { families, kernelLength, type PriorFamily, type TrainingKernels } from '../src/priors/index.js';
import { option, whole } from '../src/problems/option.js';
import { startOptions } from '../src/problems/options.js';
import { parseRunConfig, type RunConfig } from '../src/runs/config.js';
import { readRunConfig } from '../src/runs/config-file.js';
import { startRun } from '../src/runs/run.js';
import { fitPrior } from '../src/train/fit-prior.js';
import { samplePrior } from '../src/train/sample-prior.js';
import { initialState } from '../src/train/train-network.js';
import { writeTestPrior } from './cli/prior-folder.js';
import { engines, runOn } from './engine/reference.js';
import { estimate, expectMean } from './monte-carlo.js';
import { runOnnx } from './network/run-onnx.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const example = readFileSync(`${ROOT}/examples/library.mjs`, 'utf8');

test('the example is in the README, has at most 30 lines, and runs', async () => {
  expect(readFileSync(`${ROOT}/README.md`, 'utf8')).toContain(
    example.slice(example.indexOf('import')).trim(),
  );
  expect(example.trim().split('\n').length).toBeLessThanOrEqual(30);
  const { stdout } = await execa('node', ['examples/library.mjs'], { cwd: ROOT });
  const [, accuracy] = /accuracy: ([\d.]+)/.exec(stdout) ?? [];
  expect(Number(accuracy)).toBeGreaterThan(0.6); // 0.79 here; a guess has 0.1
});

/** max(0, x)². */
const squaredRelu: LayerKind<Record<never, never>> = {
  kind: 'squared-relu',
  options: z.strictObject({}),
  inputs: 'one',
  shape: (_, [input]) => input,
  apply: (_, [x]) => ({ output: tf.square(tf.relu(x)) }),
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx(g, _, [x]) {
    const relu = g.emit1('Relu', [x], x.shape);
    return g.emit1('Mul', [relu, relu], x.shape);
  },
};

test('a kind of layer is one value in the list: it acts, and is exported', async () => {
  layerKinds.set(squaredRelu.kind, squaredRelu);
  const layers = [{ kind: 'squared-relu' }, { kind: 'flatten' }];
  const architecture = buildArchitecture('squares', { height: 1, width: 2, channels: 1 }, 2, layers);
  const images = f32([1, 1, 2, 1], Float32Array.of(-3, 3));
  const { native } = await engines();
  const { logits } = await runOn(
    native,
    ({ images }: { images: tf.Tensor4D }) => ({
      logits: tf.clone(forward(architecture, images, { parameters: {}, random: (_, x) => x }).outputs),
    }),
    { images },
  );
  expect([...logits.data]).toEqual([0, 9]);
  expect([...(await runOnnx(networkToOnnx(architecture, [{}]), images)).data]).toEqual([0, 9]);
});

test('an architecture is one value in the list: runs find it by its name and scale it', () => {
  architectures.set('two-conv', {
    description: 'two convolutions',
    channels: [4, 8],
    layers: ([first, second], classes) => [
      { kind: 'conv', channels: first, kernel: 3 },
      { kind: 'conv', channels: second, kernel: 3 },
      { kind: 'global-average-pool' },
      { kind: 'dense', units: classes },
    ],
  });
  const { layers } = namedArchitecture('two-conv', { height: 8, width: 8, channels: 3 }, 5, [2, 4]);
  expect(layers.map(({ outputShape }) => outputShape)).toEqual([[6, 6, 2], [4, 4, 4], [4], [5]]);
});

const scaleConfig = z.object({
  factor: z.number().positive().default(1).describe('factor of the scale that is fitted'),
});

/** Independent logistic densities of one scale s: log p(w) = −Σ_j [ w_j/s + log s + 2 log(1 + exp(−w_j/s)) ]. */
const logistic: PriorFamily<z.infer<typeof scaleConfig>> = {
  name: 'logistic',
  summary: 'independent logistic densities of one scale',
  config: scaleConfig,
  fit: {
    kind: 'closed-form',
    // by moments: the variance is π² s² / 3
    parameters({ data }, { factor }) {
      const square = data.reduce((sum, x) => sum + x * x, 0) / data.length;
      return { scale: f32([], Float32Array.of((factor * Math.sqrt(3 * square)) / Math.PI)) };
    },
  },
  prior: (size, config, parameters) => ({
    family: 'logistic',
    size,
    config,
    parameters: { scale: parameters.scale },
    generateNoise: (n) => ({ kernels: spec([n, kernelLength(size)]) }),
    // the quantile function of Φ(ε)
    generate({ scale }, { kernels }) {
      const half = tf.mul(tf.erf(tf.mul(kernels, Math.SQRT1_2)), 0.999_999);
      return tf.mul(scale, tf.sub(tf.log(tf.add(1, half)), tf.log(tf.sub(1, half))));
    },
    density: {
      kind: 'exact',
      logDensity({ scale }, w) {
        const ratio = tf.div(w, scale);
        const rest = tf.add(tf.log(scale), tf.mul(2, tf.softplus(tf.neg(ratio))));
        return tf.neg(tf.sum(tf.add(ratio, rest), -1));
      },
    },
  }),
};

const folder = mkdtempSync(join(tmpdir(), 'dwp-library-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Kernels [n, k, k] of logistic numbers of scale s. */
function logisticKernels(n: number, k: number, s: number): TrainingKernels {
  const stream = new RandomStream(foldIn(seedKey(77), k));
  const draw = () => {
    const u = (stream.integer(2 ** 20) + 0.5) / 2 ** 20;
    return s * Math.log(u / (1 - u));
  };
  return { h: k, w: k, count: n, data: Float32Array.from({ length: n * k * k }, draw) };
}

test('a family of priors is one value in the list: fitted, stored, drawn, judged, trained with', async () => {
  families.set(logistic.name, logistic);
  const engine = await createEngine('native', 1);

  const paths = await Promise.all(
    [7, 5].map(async (k) => {
      const kernels = logisticKernels(2000, k, 0.1);
      const { prior } = await fitPrior({
        family: families.get('logistic')!,
        kernels,
        engine,
        key: seedKey(1),
      });
      const path = join(folder, `logistic-${k}`);
      writeTestPrior(path, prior);
      return path;
    }),
  );
  const { prior } = readPriorFolder(paths[1]);
  expect(prior).toMatchObject({ family: 'logistic', config: { factor: 1 }, size: { h: 5, w: 5 } });
  expect(prior.parameters.scale.data[0]).toBeCloseTo(0.1, 2);

  const draws = await samplePrior(prior, 4000, engine, seedKey(2)); // [4000, 25]
  const scale = prior.parameters.scale.data[0];
  const perKernel = Array.from({ length: 4000 }, (_, i) => {
    const kernel = draws.subarray(i * 25, (i + 1) * 25);
    return kernel.reduce(
      (sum, w) => sum - w / scale - Math.log(scale) - 2 * Math.log1p(Math.exp(-w / scale)),
      0,
    );
  });
  expectMean(
    estimate(perKernel),
    -25 * (Math.log(scale) + 2),
    'the entropy of a logistic density is log s + 2',
  );
  const judged = await evaluateDensity({ prior, kernels: draws, samples: 1, engine, key: seedKey(3) });
  expect(judged.logDensity).toBeCloseTo(estimate(perKernel).mean, 3);

  const summary = await startRun(
    parseRunConfig({
      ...{ prior: 'fitted', priorPath: paths, channels: [2, 3], threads: 1, kernelSubsample: 4 },
      ...{ examples: 10, batch: 10, components: 1, steps: 4, validation: 50, samples: 2 },
    }),
    join(folder, 'run'),
  );
  expect(summary.priors!.map(({ family }) => family)).toEqual(['logistic', 'logistic']);
  expect(Number.isFinite(summary.bound!.total)).toBe(true);
});

test('commands have the options and the row of a family that a program adds', () => {
  const all = [...families.values()].filter(({ name }) => name !== logistic.name);
  const { factor, ...rest } = familyOptions([...all, logistic]);
  expect(Object.keys(rest)).toEqual(Object.keys(familyOptions(all)));
  expect(factor).toMatchObject({
    flags: '--factor <n>',
    description: 'logistic: factor of the scale that is fitted',
    defaultText: '1',
  });
  expect(familyConfig(logistic, { factor: factor.schema.parse('2.5') }, all)).toEqual({ factor: 2.5 });
  expect(() => familyConfig(logistic, { latent: 3 }, all)).toThrow(
    '--latent is an option of the family vae or vae-pixels, not of logistic',
  );
  families.set(logistic.name, logistic);
  expect(comparedPriors().filter(({ family }) => family === logistic)).toMatchObject([
    { name: 'logistic', config: {} },
  ]);
});

/** Nothing is learned: networks are draws of the prior, as they come. */
const untrained: Method = {
  ...methods.get('point')!,
  name: 'untrained',
  summary: 'networks as they start',
  priors: ['dwp', 'standard-normal'],
  options: {
    ...startOptions,
    draws: option(whole(1).default(2), 'method', '<n>', 'number of networks'),
  },
  complete: (config) => config,
  check() {},
  start: async () => () => {},
  advance: async () => 0,
  steps: () => 0,
  stepsDone: () => 0,
  networks: () => [],
  predictions({ problem, engine, config }) {
    const count = (config as RunConfig).draws as number;
    async function* draws() {
      for (let i = 0; i < count; i++) {
        const { architecture, posterior } = problem.model;
        const weights = await problem.weights(engine, i);
        const { parameters } = initialState({
          architecture,
          posterior,
          weights,
          logStd: 0,
          key: problem.key,
        });
        const predicted = { network: problem.model, parameters, images: problem.judged, samples: 1 };
        yield* predictions({ ...predicted, engine, key: problem.key });
      }
    }
    return { count, draws: draws() };
  },
  report: async () => ({ init: 'prior' }),
};

test('a method is one value in the list: runs have its options, and its predictions', async () => {
  methods.set(untrained.name, untrained);
  const folder = mkdtempSync(join(tmpdir(), 'dwp-method-'));
  const given = { method: 'untrained', prior: 'standard-normal', draws: '3', channels: [2, 3], examples: 10 };
  const run = join(folder, 'run');
  const summary = await startRun(parseRunConfig({ ...given, validation: 50, threads: 1 }), run);
  expect(summary).toMatchObject({ method: 'untrained', init: 'prior', steps: 0 });
  expect(summary.ensemble.at(-1)!.samples).toBe(3);
  expect(readFileSync(join(run, 'config.yaml'), 'utf8')).toContain(
    'method:\n  name: untrained\n  draws: 3\n',
  );
  expect(readRunConfig(run)).toMatchObject({ method: 'untrained', draws: 3 });
  expect(() => parseRunConfig({ draws: 3 })).toThrow(
    '--draws cannot be used with --method variational: it is an option of untrained',
  );
  rmSync(folder, { recursive: true });
});
