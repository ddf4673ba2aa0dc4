// A prior that others have fitted: their ONNX graphs and a description (interchange.ts), as JSON or YAML → a prior of
// the family `external`.
import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { f32, type NdArray } from '../engine/index.js';
import { type DwpError, inputError, messageOf } from '../errors.js';
import { type ByteSource, openSource, readAll } from '../formats/source.js';
import type { Program } from '../priors/external/program.js';
import { type ExternalConfig, external, LOG_STD } from '../priors/external.js';
import { type KernelPrior, kernelLength } from '../priors/index.js';
import { DESCRIPTION, type GraphName, type Interchange, interchange } from './interchange.js';
import { onnxProgram, roleOf } from './onnx-program.js';

const LARGEST_DESCRIPTION = 2 ** 26;

/**
 * @param path folder with kernel-prior.json, or a description of that kind
 * @throws DwpError INPUT when a file is missing, damaged or another than described, or a graph cannot be read
 */
export function importPrior(path: string): { prior: KernelPrior; about: Interchange; sha256: string } {
  const file = existsSync(path) && statSync(path).isDirectory() ? join(path, DESCRIPTION) : path;
  const source = openSource(file);
  try {
    const text = new TextDecoder().decode(readAll(source, LARGEST_DESCRIPTION));
    const about = parsed(file, text);
    const { size, latent, observation } = about;
    const { graphs, arrays, digests } = readGraphs(source, about);
    const parameters = { ...arrays, ...observedLogStd(file, about) };
    for (const [name, { data }] of Object.entries(parameters))
      if (!(data as Float32Array).every(Number.isFinite))
        throw inputError(`${file}: ${name} holds values that are not finite`, 'export the graph again');
    const config = external.config.safeParse({
      graphs,
      latent: latent?.size,
      latentPrior: latent?.prior === 'log-latent' ? 'log-latent' : 'standard',
      observation: observation?.kind,
      dof: observation?.dof,
      noise: graphs.sampler && noiseOf(file, about.graphs.sampler!.inputs),
    } satisfies Record<keyof ExternalConfig, unknown>);
    if (!config.success) throw notValid(file, config.error);
    const hash = createHash('sha256').update(text);
    for (const digest of digests) hash.update(digest);
    return { prior: external.prior(size, config.data, parameters), about, sha256: hash.digest('hex') };
  } finally {
    source.close();
  }
}

/** The graphs that the prior is made of, their weights, and the sha256 of their files. */
function readGraphs(description: ByteSource, about: Interchange) {
  const graphs: Partial<Record<GraphName, Program>> = {};
  const arrays: Record<string, NdArray> = {};
  const digests: string[] = [];
  for (const name of needed(about)) {
    const graph = about.graphs[name]!;
    const model = description.sibling(graph.file);
    const digest = createHash('sha256').update(readAll(model)).digest('hex');
    if (graph.sha256 && graph.sha256 !== digest)
      throw inputError(
        `${model.path}: not the file that ${description.path} describes`,
        'its sha256 differs; fetch both again',
      );
    digests.push(digest);
    const read = onnxProgram(model, name, graph, about.size.channels ? 4 : 3);
    graphs[name] = read.program;
    Object.assign(arrays, read.arrays);
  }
  return { graphs, arrays, digests };
}

/** log σ of p(w|z) where the description says it: one number, or one for each weight of a kernel. */
function observedLogStd(file: string, { size, observation }: Interchange): Record<string, NdArray> {
  const { logStd } = observation ?? {};
  if (logStd === undefined) return {};
  if (!Array.isArray(logStd)) return { [LOG_STD]: f32([], Float32Array.of(logStd)) };
  const d = kernelLength(size);
  if (logStd.length !== d)
    throw inputError(
      `${file}: observation.logStd has ${logStd.length} numbers, not ${d}`,
      'give one per weight of a kernel',
    );
  return { [LOG_STD]: f32([d], Float32Array.from(logStd)) };
}

function parsed(file: string, text: string): Interchange {
  let value: unknown;
  try {
    value = /\.ya?ml$/i.test(file) ? parseYaml(text, { maxAliasCount: 100 }) : JSON.parse(text);
  } catch (error) {
    throw inputError(
      `${file}: neither JSON nor YAML (${messageOf(error)})`,
      'see docs/interchange.md',
      error,
    );
  }
  const result = interchange.safeParse(value);
  if (result.success) return result.data;
  throw notValid(file, result.error);
}

function notValid(file: string, { issues: [{ path, message }] }: z.ZodError): DwpError {
  return inputError(
    `${file}: ${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`,
    'see docs/interchange.md',
  );
}

/** The graphs that the prior is made of; others say the same in another way. */
function needed({ graphs, latent }: Interchange): GraphName[] {
  const has = (name: GraphName) => graphs[name] !== undefined;
  if (!has('encoder')) return (['log-density', 'sampler'] as const).filter(has);
  const own = latent?.prior === 'log-latent';
  const names: GraphName[] = ['encoder', has('decoder') ? 'decoder' : 'log-likelihood'];
  if (own) names.push('log-latent');
  if (own || !has('decoder')) names.push('sampler');
  return names.filter(has);
}

function noiseOf(
  file: string,
  inputs: Record<string, { shape?: (number | string)[] }>,
): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(inputs).map(([role, { shape }]) => {
      const [first, ...rest] = shape ?? [];
      if (typeof first !== 'string' || rest.some((n) => typeof n !== 'number'))
        throw inputError(
          `${file}: graphs.sampler.inputs.${role} needs a shape [n, …]`,
          'see docs/interchange.md',
        );
      return [roleOf(role), rest as number[]];
    }),
  );
}
