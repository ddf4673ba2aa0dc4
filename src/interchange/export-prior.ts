// A fitted prior as ONNX graphs: the functions of src/priors/ traced for any number of kernels. Every random number is
// an input, so that results are the same in every language.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { logImportanceWeight } from '../distributions/latent.js';
import { reparameterise } from '../distributions/normal.js';
import {
  type Engine,
  type FreeSpec,
  foldIn,
  functionToOnnx,
  type Key,
  noiseFor,
  OPSET,
  seedKey,
  tf,
} from '../engine/index.js';
import { writeFileAtomic, writeJson } from '../formats/files.js';
import { writeFolderAtomic } from '../formats/folders.js';
import { readPriorFolder } from '../prior-folders/prior-folder.js';
import {
  type KernelPrior,
  type KernelSize,
  kernelLength,
  type Specs,
  type Tensors,
} from '../priors/index.js';
import {
  DESCRIPTION,
  FORMAT,
  type GraphName,
  type Interchange,
  type InterchangeGraph,
} from './interchange.js';

export interface ExportedPrior extends Interchange {
  kind: 'prior';
  out: string;
}

interface GraphFunction {
  inputs: Readonly<Record<string, FreeSpec & { meaning: string }>>;
  /** What each result is. */
  outputs: Readonly<Record<string, string>>;
  of(inputs: Tensors, parameters: Tensors): Tensors;
}

export interface PriorGraph extends InterchangeGraph {
  content: Uint8Array;
}

const NORMALS = 'independent standard normals';

/** Writes the graphs of the prior in folder `path` into the new folder `out`, and what they are. */
export async function exportPrior(path: string, out: string, engine: Engine): Promise<ExportedPrior> {
  const { prior, about } = readPriorFolder(path);
  const graphs = priorGraphs(prior);
  const { source, test } = about;
  const description = await describePrior(prior, graphs, { name: path, source: { ...source, test } }, engine);
  writeFolderAtomic(out, (folder) => {
    for (const { file, content } of Object.values(graphs)) writeFileAtomic(join(folder, file), content);
    writeJson(join(folder, DESCRIPTION), description);
  });
  return { kind: 'prior', out, ...description };
}

/** Every graph that the prior has, by name. */
export function priorGraphs(prior: KernelPrior): Partial<Record<GraphName, PriorGraph>> {
  return Object.fromEntries(
    Object.entries(functionsOf(prior)).map(([name, { inputs, outputs, of }]) => {
      const made = functionToOnnx(of, inputs, prior.parameters, name);
      const graph: PriorGraph = {
        file: `${name}.onnx`,
        bytes: made.bytes.length,
        sha256: createHash('sha256').update(made.bytes).digest('hex'),
        inputs: Object.fromEntries(
          Object.entries(inputs).map(([port, { shape, meaning }]) => [
            port,
            { name: port, shape: [...shape], meaning },
          ]),
        ),
        outputs: Object.fromEntries(
          Object.entries(made.outputs).map(([port, { shape }]) => [
            port,
            { name: port, shape: [...shape], meaning: outputs[port] },
          ]),
        ),
        content: made.bytes,
      };
      return [name, graph];
    }),
  );
}

function functionsOf(prior: KernelPrior): Partial<Record<GraphName, GraphFunction>> {
  const { size, density } = prior;
  const w = { shape: ['n', ...shapeOf(size)], meaning: 'kernels, as weights of a layer' };
  const rows = (kernels: tf.Tensor) => tf.reshape(kernels, [-1, kernelLength(size)]);
  const noise = freeNoise(prior);
  const sampler: GraphFunction = {
    inputs: Object.fromEntries(
      Object.entries(noise).map(([name, { shape }]) => [`noise_${name}`, { shape, meaning: NORMALS }]),
    ),
    outputs: { kernels: 'samples of the prior' },
    of(inputs, parameters) {
      const given = Object.fromEntries(Object.keys(noise).map((name) => [name, inputs[`noise_${name}`]]));
      return { kernels: asKernels(prior.generate(parameters, given), size) };
    },
  };
  if (density.kind === 'exact')
    return {
      sampler,
      'log-density': {
        inputs: { w },
        outputs: { logDensity: 'log p(w), nats' },
        of: ({ w }, parameters) => ({ logDensity: density.logDensity(parameters, rows(w)) }),
      },
    };
  const l = density.latentSize;
  const z = { shape: ['n', l], meaning: 'latent variables' };
  const normal = { mean: 'mean', logStd: 'log standard deviation' };
  return {
    sampler,
    'log-density': {
      inputs: { w, noise: { shape: ['K', 'n', l], meaning: `${NORMALS}: K samples for each kernel` } },
      outputs: {
        logDensity: 'lower bound of log p(w) from K samples, nats; for K = 1 the ELBO',
        logWeights: 'log p(w|z) p(z) / q(z|w) of each sample, nats',
      },
      of({ w, noise }, parameters) {
        const of = density.of(parameters);
        const r = of.encode(rows(w));
        const weights = logImportanceWeight(of, rows(w), reparameterise(r, noise), r); // [K, n]
        return { logDensity: logMeanExp(tf.transpose(weights)), logWeights: weights };
      },
    },
    encoder: {
      inputs: { w },
      outputs: { mean: `${normal.mean} of q(z|w)`, logStd: `${normal.logStd} of q(z|w)` },
      of: ({ w }, parameters) => ({ ...density.of(parameters).encode(rows(w)) }),
    },
    ...(density.decode && {
      decoder: {
        inputs: { z },
        outputs: { mean: `${normal.mean} of p(w|z)`, logStd: `${normal.logStd} of p(w|z)` },
        of({ z }: Tensors, parameters: Tensors) {
          const { mean, logStd } = density.decode!(parameters, z);
          const like = tf.add(logStd, tf.zerosLike(mean)); // one vector for all z, or one for each
          return { mean: asKernels(mean, size), logStd: asKernels(like, size) };
        },
      },
    }),
    'log-likelihood': {
      inputs: { w, z },
      outputs: { logLikelihood: 'log p(w|z), nats' },
      of: ({ w, z }, parameters) => ({ logLikelihood: density.of(parameters).logLikelihood(rows(w), z) }),
    },
    'log-latent': {
      inputs: { z },
      outputs: { logLatent: 'log p(z), nats' },
      of: ({ z }, parameters) => ({ logLatent: density.of(parameters).logLatent(z) }),
    },
  };
}

/** Of one kernel: [h, w], or [channels, h, w] of a filter. */
const shapeOf = ({ channels, h, w }: KernelSize): number[] => [...(channels ? [channels] : []), h, w];

const asKernels = (rows: tf.Tensor, size: KernelSize) => tf.reshape(rows, [-1, ...shapeOf(size)]);

/** (4) log (1/K) Σ_k eˣ: [n, K] → [n]. K is nowhere a number here, so that it is free. */
function logMeanExp(x: tf.Tensor): tf.Tensor {
  const largest = tf.max(x, 1, true);
  return tf.add(tf.log(tf.mean(tf.exp(tf.sub(x, largest)), 1)), tf.reshape(largest, [-1]));
}

/** The noise of `generate` for n kernels: lengths that change with the number of them are n. */
function freeNoise(prior: KernelPrior): Record<string, FreeSpec> {
  const [one, two] = [prior.generateNoise(1), prior.generateNoise(2)];
  return Object.fromEntries(
    Object.entries(one).map(([name, { shape }]) => [
      name,
      { shape: shape.map((size, i) => (size === two[name].shape[i] ? size : 'n')) },
    ]),
  );
}

/** What the graphs are, with an example of log-density as the engine computes it. */
export async function describePrior(
  prior: KernelPrior,
  graphs: Partial<Record<GraphName, PriorGraph>>,
  about: { name: string; source: unknown },
  engine: Engine,
): Promise<Interchange> {
  const { size, density, family } = prior;
  const latent = density.kind === 'latent' ? density.latentSize : undefined;
  const standard = density.kind === 'latent' && density.isStandard;
  return {
    format: FORMAT,
    name: about.name,
    family,
    size,
    units: 'nats',
    opset: OPSET,
    ...(latent && { latent: { size: latent, prior: standard ? 'standard-normal' : 'log-latent' } }),
    ...(graphs.decoder && { observation: { kind: 'normal' as const } }),
    graphs: Object.fromEntries(
      Object.entries(graphs).map(([name, { content, ...graph }]) => [name, graph]),
    ) as Interchange['graphs'],
    source: about.source,
    example: await example(prior, engine, seedKey(0)),
  };
}

const EXAMPLE = { kernels: 3, samples: 2 };

async function example(prior: KernelPrior, engine: Engine, key: Key): Promise<Record<string, unknown>> {
  const { kernels: n, samples: K } = EXAMPLE;
  const drawn = noiseFor(prior.generateNoise(n), foldIn(key, 'sampler'));
  const { density, size } = prior;
  const noise: Specs =
    density.kind === 'latent' ? { noise: { shape: [K, n, density.latentSize], dtype: 'float32' } } : {};
  const given = noiseFor(noise, foldIn(key, 'log-density'));
  const step = await engine.compile(
    ({ drawn, given }, parameters) => {
      const w = asKernels(prior.generate(parameters, drawn), size);
      return { w, ...functionsOf(prior)['log-density']!.of({ w, ...given }, parameters) } as Tensors;
    },
    { inputs: { drawn, given }, constants: prior.parameters },
  );
  const result = await step.run({ drawn, given });
  await step.release();
  return Object.fromEntries(
    Object.entries({ ...given, ...result }).map(([name, { shape, data }]) => [
      name,
      nested(Array.from(data), shape),
    ]),
  );
}

/** A flat list as lists of lists. */
function nested(list: unknown[], shape: readonly number[]): unknown {
  return shape.slice(1).reduceRight<unknown[]>((rows, length) => {
    const next: unknown[] = [];
    for (let i = 0; i < rows.length; i += length) next.push(rows.slice(i, i + length));
    return next;
  }, list);
}
