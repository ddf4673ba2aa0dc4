// Imported priors: what is exported comes back with the same density, samples and gradients; a VAE of PyTorch has
// PyTorch's bound; what cannot be read is refused by name.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import {
  createEngine,
  type Engine,
  f32,
  type NdArray,
  seedKey,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { DwpError } from '../../src/errors.js';
import { evaluateDensity } from '../../src/evaluate/density.js';
import { describePrior, priorGraphs } from '../../src/interchange/export-prior.js';
import { importPrior } from '../../src/interchange/import-prior.js';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
import { isotropicNormal, type KernelPrior, type Tensors } from '../../src/priors/index.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { writeTestPrior } from '../cli/prior-folder.js';
import { largestRelativeError, normal, runOn } from '../engine/reference.js';
import { fittedPrior, KINDS, testKernels } from '../prior-folders/fitted-priors.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-import-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

async function exported(prior: KernelPrior, name: string): Promise<string> {
  const out = mkdtempSync(join(folder, 'prior-'));
  const graphs = priorGraphs(prior);
  for (const { file, content } of Object.values(graphs)) writeFileSync(join(out, file), content);
  const description = await describePrior(prior, graphs, { name, source: {} }, engine);
  writeFileSync(join(out, 'kernel-prior.json'), JSON.stringify(description));
  return out;
}

const N = 6;
const [h, w] = [3, 2];

/** Densities of some kernels, and their gradient with respect to the kernels. */
async function densities(
  prior: KernelPrior,
  on: Engine,
  kernels: NdArray = f32([N, h * w], testKernels(h, w).data.slice(0, N * h * w)),
) {
  const { density, parameters } = prior;
  const noise = density.kind === 'latent' && { noise: normal(600, 4, kernels.shape[0], density.latentSize) };
  return (await runOn(
    on,
    ({ kernels, noise, parameters }: Record<string, tf.Tensor> & { parameters: Tensors }) => {
      const of = (w: tf.Tensor) =>
        density.kind === 'exact'
          ? density.logDensity(parameters, w)
          : lowerBound(density.of(parameters), w, noise);
      const { aux, gradients } = valueAndGradients(
        ({ w }: Tensors) => {
          const value = of(w);
          return { objective: tf.sum(value), aux: { value } };
        },
        { w: kernels },
      );
      return { value: aux.value, gradient: gradients.w };
    },
    { kernels, ...noise, parameters } as never,
  )) as unknown as Record<'value' | 'gradient', NdArray>;
}

/** Of single precision, with intermediate values some hundred times the result. */
const CLOSE = 1e-4;

describe.each(Object.keys(KINDS))('%s', (kind) => {
  test('comes back as it was', async () => {
    const prior = await fittedPrior(kind, engine);
    const { prior: back, about } = importPrior(await exported(prior, kind));
    expect(about.family).toBe(prior.family);
    const [before, after] = [await densities(prior, engine), await densities(back, engine)];
    expect(largestRelativeError(after.value, before.value).error).toBeLessThan(CLOSE);
    expect(largestRelativeError(after.gradient, before.gradient).error).toBeLessThan(CLOSE);
    const drawn = await Promise.all([prior, back].map((p) => samplePrior(p, 20, engine, seedKey(601))));
    const [a, b] = drawn.map((data) => f32([20, h * w], data as Float32Array<ArrayBuffer>));
    expect(largestRelativeError(b, a).error).toBeLessThan(CLOSE);
  });
});

describe('whole filters', () => {
  const size = { h: 3, w: 2, channels: 2 };
  test('come back as they were; graphs of single slices are refused for them', async () => {
    const prior = isotropicNormal(size, {}, 0.5);
    const out = await exported(prior, 'filters');
    const { prior: back } = importPrior(out);
    expect(back.size).toEqual(size);
    const kernels = normal(612, N, 12);
    const [before, after] = [await densities(prior, engine, kernels), await densities(back, engine, kernels)];
    expect(largestRelativeError(after.value, before.value).error).toBeLessThan(CLOSE);
    expect(await samplePrior(back, 5, engine, seedKey(613))).toHaveLength(5 * 12);
    const path = join(out, 'kernel-prior.json');
    const text = readFileSync(path, 'utf8');
    const described = (shape: unknown[]) => {
      const changed = JSON.parse(text);
      changed.graphs['log-density'].inputs.w.shape = shape;
      writeFileSync(path, JSON.stringify(changed));
      return () => importPrior(out);
    };
    const input = (message: RegExp) =>
      expect.objectContaining({ code: 'INPUT', message: expect.stringMatching(message) });
    expect(described(['n', 3, 2])).toThrow(input(/takes kernels \[n, h, w\], and these have 2 channels/));
    expect(described(['n', 1, 2, 3, 2])).toThrow(input(/graphs\.log-density\.rank/));
  });
});

test('what the decoder says of its spread goes before what the description says', async () => {
  const out = await exported(await fittedPrior('vae-pixels', engine), 'twice-said');
  const path = join(out, 'kernel-prior.json');
  const described = JSON.parse(readFileSync(path, 'utf8'));
  const { outputs } = described.graphs.decoder;
  described.graphs.decoder.outputs = { mean: outputs.mean, logVariance: outputs.logStd };
  const read = async (observation: Record<string, unknown>) => {
    writeFileSync(path, JSON.stringify({ ...described, observation }));
    return densities(importPrior(out).prior, engine, normal(614, N, 6));
  };
  expect(await read({ logStd: 1 })).toEqual(await read({}));
});

const FIXTURE = fileURLToPath(new URL('../fixtures/external-prior/', import.meta.url));

describe('a VAE of PyTorch', () => {
  const read = () => importPrior(join(FIXTURE, 'prior.yaml')).prior;
  const expected = JSON.parse(readFileSync(join(FIXTURE, 'expected.json'), 'utf8')) as Record<
    string,
    number[]
  >;
  const flat = (name: string, ...shape: number[]) =>
    f32(shape, Float32Array.from((expected[name] as unknown as number[][]).flat(2)));

  test.each(['native', 'cpu'] as const)('has the bounds that PyTorch computes, on %s', async (name) => {
    const { density, parameters } = read();
    if (density.kind !== 'latent') throw new Error('a latent variable');
    const result = (await runOn(
      name === 'cpu' ? await createEngine('cpu') : engine,
      ({ w, noise, parameters }: Record<string, tf.Tensor> & { parameters: Tensors }) => {
        const of = density.of(parameters);
        const single = tf.unstack(noise).map((row) => lowerBound(of, w, tf.expandDims(row, 0)));
        return { elbo: tf.mean(tf.stack(single), 0), bound: lowerBound(of, w, noise) };
      },
      { w: flat('w', 12, 9), noise: flat('noise', 5, 12, 2), parameters } as never,
    )) as unknown as Record<string, NdArray>;
    for (const name of ['elbo', 'bound'])
      expected[name].forEach((nats, i) => {
        expect(Math.abs(result[name].data[i] / nats - 1)).toBeLessThan(1e-5);
      });
  });

  test('its samples have the density that its bound approaches: E_p[bound] is near −entropy from both ends', async () => {
    const prior = read();
    const drawn = await samplePrior(prior, 300, engine, seedKey(610));
    const own = await evaluateDensity({ prior, kernels: drawn, samples: 50, engine, key: seedKey(611) });
    const real = await evaluateDensity({
      prior,
      kernels: flat('w', 12, 9).data,
      samples: 50,
      engine,
      key: seedKey(611),
    });
    expect(Math.abs(own.bound! - real.bound!)).toBeLessThan(5 * (own.standardError + real.standardError));
  });

  test('its folder keeps every bit', async () => {
    const prior = read();
    const out = join(folder, 'stored');
    writeTestPrior(out, prior);
    const { prior: back } = readPriorFolder(out);
    const kernels = flat('w', 12, 9);
    expect(await densities(back, engine, kernels)).toEqual(await densities(prior, engine, kernels));
  });
});

describe('what is refused', () => {
  /** The fixture with its description changed, or a file of it. */
  function changed(change: (text: string) => string, file?: (folder: string) => void): () => unknown {
    const copy = mkdtempSync(join(folder, 'bad-'));
    cpSync(FIXTURE, copy, { recursive: true });
    const path = join(copy, 'prior.yaml');
    writeFileSync(path, change(readFileSync(path, 'utf8')));
    file?.(copy);
    return () => importPrior(path);
  }
  const replaced = (name: string, from: string, to: string) => (copy: string) => {
    const bytes = readFileSync(join(copy, name), 'latin1');
    expect(bytes).toContain(from);
    writeFileSync(join(copy, name), bytes.replaceAll(from, to), 'latin1');
  };
  const same = (text: string) => text;

  test.each([
    [
      'an unknown operator, by its node',
      changed(same, replaced('encoder.onnx', 'LeakyRelu', 'LeakyTelu')),
      /\(LeakyTelu\) has an operator that is not read/,
    ],
    [
      'a name that is not in the graph',
      changed((t) => t.replace('z: code', 'z: kode')),
      /uses "code", which nothing before it makes/,
    ],
    [
      'an output that nothing makes',
      changed((t) => t.replace('mean: mu', 'mean: my')),
      /nothing makes its output "my" \(mean\)/,
    ],
    [
      'a file outside of the folder',
      changed((t) => t.replace('file: encoder.onnx', 'file: ../encoder.onnx')),
      /leads out|outside/,
    ],
    [
      'another file than described',
      changed((t) =>
        t
          .replace('file: encoder.onnx', `file: encoder.onnx, sha256: "${'0'.repeat(64)}"`)
          .replace(
            /encoder:\n\s+file: ([^\n]*)/,
            (_, file) => `encoder:\n    ${`file: ${file}`.replace(', ', '\n    ')}`,
          ),
      ),
      /not the file that/,
    ],
    [
      'no spread of the encoder',
      changed((t) => t.replace(', logVariance: logvar', '')),
      /encoder has no output that is logStd, logVariance/,
    ],
    [
      'the wrong number of pixels',
      changed((t) => t.replace(/logStd: \[[^,]*, /, 'logStd: [')),
      /observation.logStd has 8 numbers, not 9/,
    ],
    [
      'a truncated graph',
      changed(same, (copy) =>
        writeFileSync(join(copy, 'decoder.onnx'), readFileSync(join(copy, 'decoder.onnx')).subarray(0, 900)),
      ),
      /not a complete ONNX model|damaged/,
    ],
    ['no description', changed(() => '[1, 2'), /neither JSON nor YAML/],
    ['another format', changed((t) => t.replace('kernel-prior-onnx-1', 'x')), /format/],
  ])('%s', (_, read, message) => {
    expect(read).toThrow(message);
    expect(read).toThrow(DwpError);
  });

  test('a graph whose shapes do not fit names the node', async () => {
    const read = changed((t) =>
      t.replace('size: { h: 3, w: 3 }', 'size: { h: 5, w: 5 }').replace(/logStd: .*/, 'logStd: -4'),
    );
    const { prior } = read() as ReturnType<typeof importPrior>;
    await expect(
      evaluateDensity({ prior, kernels: new Float32Array(50), samples: 2, engine, key: seedKey(0) }),
    ).rejects.toThrow(/graph (encoder|decoder)/);
  });
});
