// Exported priors: onnxruntime computes with the graphs what the engine computes with the prior, for any number of kernels.
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { createEngine, type Engine, type NdArray, type tf } from '../../src/engine/index.js';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import { memorySource } from '../../src/formats/source.js';
import { readOnnxFile } from '../../src/importers/onnx-file.js';
import { describePrior, priorGraphs } from '../../src/interchange/export-prior.js';
import { type GraphName, interchange } from '../../src/interchange/interchange.js';
import type { KernelPrior, Tensors } from '../../src/priors/index.js';
import { normal, runOn } from '../engine/reference.js';
import { fittedPrior, KINDS, testKernels } from '../prior-folders/fitted-priors.js';

const ort = await onnxruntime();

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

type Graphs = ReturnType<typeof priorGraphs>;

async function run(graphs: Graphs, name: GraphName, inputs: Record<string, NdArray>) {
  const session = await ort.InferenceSession.create(graphs[name]!.content, { logSeverityLevel: 3 });
  const given = Object.entries(inputs).map(([name, { data, shape }]) => [
    name,
    new ort.Tensor('float32', data as Float32Array, [...shape]),
  ]);
  const results = await session.run(Object.fromEntries(given));
  await session.release();
  return Object.fromEntries(
    Object.entries(results).map(([name, { dims, data }]) => [
      name,
      { shape: [...dims], data: data as Float32Array },
    ]),
  );
}

const onEngine = async (
  fn: (inputs: Tensors, parameters: Tensors) => Record<string, tf.Tensor>,
  inputs: Record<string, NdArray>,
  { parameters }: KernelPrior,
) =>
  (await runOn(
    engine,
    ({ inputs, parameters }: { inputs: Tensors; parameters: Tensors }) => fn(inputs, parameters),
    { inputs, parameters } as never,
  )) as unknown as Record<string, NdArray>;

/** Nats. */
const CLOSE = 1e-4;
function expectClose(found: NdArray, shape: number[], expected: NdArray) {
  expect(found.shape).toEqual(shape);
  const scale = Math.max(1, ...Array.from(expected.data, Math.abs)) / 100;
  found.data.forEach((x, i) => {
    expect(Math.abs(x - expected.data[i])).toBeLessThan(CLOSE * Math.max(1, scale));
  });
}

const [h, w] = [3, 2];
const all = testKernels(h, w).data;
const kernels = (n: number): NdArray => ({ shape: [n, h, w], data: all.slice(0, n * h * w) });
const rows = (x: NdArray): NdArray => ({ shape: [x.shape[0], h * w], data: x.data });

describe.each(Object.keys(KINDS))('%s', (kind) => {
  let prior: KernelPrior;
  let graphs: Graphs;
  beforeAll(async () => {
    prior = await fittedPrior(kind, engine);
    graphs = priorGraphs(prior);
  });

  test('samples are those of the engine for the same noise', async () => {
    for (const n of [1, 7]) {
      const specs = Object.entries(prior.generateNoise(n));
      const noise = Object.fromEntries(
        specs.map(([name, { shape }], i) => [name, normal(510 + i, ...shape)]),
      );
      const expected = await onEngine(
        (noise, parameters) => ({ kernels: prior.generate(parameters, noise) }),
        noise,
        prior,
      );
      const renamed = Object.entries(noise).map(([name, array]) => [`noise_${name}`, array]);
      const found = await run(graphs, 'sampler', Object.fromEntries(renamed));
      expectClose(found.kernels, [n, h, w], expected.kernels);
    }
  });

  test('log-density is that of the engine', async () => {
    const { density } = prior;
    for (const [n, K] of [
      [1, 1],
      [5, 4],
      [103, 107],
    ]) {
      const w = kernels(n);
      if (density.kind === 'exact') {
        const expected = await onEngine(
          ({ w }, parameters) => ({ value: density.logDensity(parameters, w) }),
          { w: rows(w) },
          prior,
        );
        const { logDensity } = await run(graphs, 'log-density', { w });
        expectClose(logDensity, [n], expected.value);
        continue;
      }
      const noise = normal(520, K, n, density.latentSize);
      const expected = await onEngine(
        ({ w, noise }, parameters) => ({ value: lowerBound(density.of(parameters), w, noise) }),
        { w: rows(w), noise },
        prior,
      );
      const found = await run(graphs, 'log-density', { w, noise });
      expectClose(found.logDensity, [n], expected.value);
      expect(found.logWeights.shape).toEqual([K, n]);
    }
  });

  test('the parts of a VAE are those of the engine', async () => {
    const { density } = prior;
    if (density.kind === 'exact') return void expect(Object.keys(graphs)).toEqual(['sampler', 'log-density']);
    const n = 6;
    const w = kernels(n);
    const z = normal(530, n, density.latentSize);
    const expected = await onEngine(
      ({ w, z }, parameters): Record<string, tf.Tensor> => {
        const of = density.of(parameters);
        const q = of.encode(w);
        return {
          mean: q.mean,
          logStd: q.logStd,
          logLikelihood: of.logLikelihood(w, z),
          logLatent: of.logLatent(z),
          ...(density.decode && { decoded: density.decode(parameters, z).mean }),
        };
      },
      { w: rows(w), z },
      prior,
    );
    const encoded = await run(graphs, 'encoder', { w });
    expectClose(encoded.mean, [n, density.latentSize], expected.mean);
    expectClose(encoded.logStd, [n, density.latentSize], expected.logStd);
    const likelihood = await run(graphs, 'log-likelihood', { w, z });
    expectClose(likelihood.logLikelihood, [n], expected.logLikelihood);
    const latent = await run(graphs, 'log-latent', { z });
    expectClose(latent.logLatent, [n], expected.logLatent);
    expect(graphs.decoder !== undefined).toBe(kind !== 'vae');
    if (!graphs.decoder) return;
    const decoded = await run(graphs, 'decoder', { z });
    expectClose(decoded.mean, [n, 3, 2], expected.decoded);
    expect(decoded.logStd.shape).toEqual([n, 3, 2]);
  });

  test('graphs have operators of ONNX alone, and the description says what they are', async () => {
    for (const { content } of Object.values(graphs))
      for (const { domain } of readOnnxFile(memorySource(content, 'made')).graph!.nodes)
        expect(domain).toBe('');
    const description = await describePrior(prior, graphs, { name: kind, source: {} }, engine);
    expect(interchange.parse(JSON.parse(JSON.stringify(description)))).toEqual(description);
    const { example } = description;
    const flat = (name: string, shape: number[]): NdArray => ({
      shape,
      data: Float32Array.from((example![name] as number[][][]).flat(2)),
    });
    const noise = prior.density.kind === 'latent' && {
      noise: flat('noise', [2, 3, prior.density.latentSize]),
    };
    const found = await run(graphs, 'log-density', { w: flat('w', [3, h, w]), ...noise });
    expectClose(found.logDensity, [3], flat('logDensity', [3]));
  });
});
