// A prior that was fitted elsewhere: its functions are graphs of ONNX operators (external/program.ts). Either p(w) is
// known, or there are an encoder q(z|w) and p(w|z), as a decoder or as a log-likelihood of its own.
import { z } from 'zod';
import type { LatentDensity } from '../distributions/latent.js';
import {
  type DiagonalNormal,
  logDensity,
  logStandardDensity,
  reparameterise,
} from '../distributions/normal.js';
import { sizeOf, spec, tf } from '../engine/index.js';
import { inputError } from '../errors.js';
import { checkProgram, type Program, programSchema, runProgram } from './external/program.js';
import { logConstant } from './mixture/em.js';
import { badParameter } from './parameters.js';
import {
  type Arrays,
  type KernelPrior,
  type KernelSize,
  kernelLength,
  type Specs,
  type StoredFamily,
  type Tensors,
} from './prior.js';

const config = z.object({
  graphs: z.partialRecord(
    z.enum(['sampler', 'log-density', 'encoder', 'decoder', 'log-likelihood', 'log-latent']),
    programSchema,
  ),
  latent: z.number().int().min(1).max(4096).optional(),
  latentPrior: z.enum(['standard', 'log-latent']).default('standard'),
  observation: z.enum(['normal', 't']).default('normal'),
  dof: z.number().int().min(1).max(1000).default(5),
  /** Lengths of the sampler's noise for one kernel, by role. */
  noise: z.record(z.string(), z.array(z.number().int().min(1).max(100_000))).default({}),
});
export type ExternalConfig = z.infer<typeof config>;

/** The parameter that holds log σ of p(w|z) where the decoder does not say it: [d] or []. */
export const LOG_STD = 'observation.logStd';
const SPREADS = ['logStd', 'logVariance', 'std', 'variance'] as const;

/** How one kernel lies in a graph whose kernels have so many axes, n with them. */
function layoutOf(size: KernelSize, rank: number): number[] {
  const { channels = 1, h, w } = size;
  return rank === 2 ? [kernelLength(size)] : rank === 3 ? [h, w] : [channels, h, w];
}

class Functions {
  constructor(
    private readonly size: KernelSize,
    private readonly config: ExternalConfig,
  ) {}

  /** Rows [m, ·] in, outputs as rows [m, ·]; those called mean … give a diagonal normal. */
  run(name: keyof ExternalConfig['graphs'], given: Tensors, parameters: Tensors): Tensors {
    const program = this.config.graphs[name] as Program;
    const laid = given.w
      ? { ...given, w: tf.reshape(given.w, [-1, ...layoutOf(this.size, program.rank)]) }
      : given;
    const out = runProgram(`graph ${name}`, program, laid, parameters);
    const m = Object.values(given)[0].shape[0];
    return Object.fromEntries(
      Object.entries(out).map(([role, value]) => {
        if (sizeOf(value.shape) % m !== 0)
          throw inputError(
            `graph ${name}: ${role} is [${value.shape}] for ${m} rows`,
            'its first axis must be n',
          );
        return [role, tf.reshape(value, [m, -1])];
      }),
    );
  }

  normal(name: 'encoder' | 'decoder', given: Tensors, parameters: Tensors, width: number): DiagonalNormal {
    const out = this.run(name, given, parameters);
    const spread = logStdOf(out) ?? parameters[LOG_STD];
    for (const [role, value] of Object.entries({ mean: out.mean, spread }))
      if (value.rank > 1 && value.shape[1] !== width && value.shape[1] !== 1)
        throw inputError(
          `graph ${name}: ${role} has ${value.shape[1]} numbers, not ${width}`,
          'check its description',
        );
    return { mean: out.mean, logStd: tf.add(spread, tf.zerosLike(out.mean)) };
  }
}

/** What a graph says of its spread; undefined where it says nothing. */
function logStdOf({ logStd, logVariance, std, variance }: Tensors): tf.Tensor | undefined {
  if (logStd) return logStd;
  if (logVariance) return tf.mul(logVariance, 0.5);
  if (std) return tf.log(std);
  return variance && tf.mul(tf.log(variance), 0.5);
}

function latentDensity(size: KernelSize, config: ExternalConfig, parameters: Tensors): LatentDensity {
  const functions = new Functions(size, config);
  const d = kernelLength(size);
  const l = config.latent!;
  const rows = (x: tf.Tensor) => tf.reshape(x, [-1, x.shape.at(-1)!]);
  const unflatten = (x: tf.Tensor, reference: tf.Tensor) =>
    tf.reshape(x, [...reference.shape.slice(0, -1), x.shape[1]!]);
  const single = (x: tf.Tensor, reference: tf.Tensor) => tf.reshape(x, reference.shape.slice(0, -1));
  return {
    latentSize: l,
    encode(w) {
      const { mean, logStd } = functions.normal('encoder', { w: rows(w) }, parameters, l);
      return { mean: unflatten(mean, w), logStd: unflatten(logStd, w) };
    },
    logLikelihood(w, z) {
      const all = tf.broadcastTo(w, [...z.shape.slice(0, -1), d]);
      if (config.graphs.decoder) {
        const { mean, logStd } = functions.normal('decoder', { z: rows(z) }, parameters, d);
        const pixels = { mean: unflatten(mean, z), logStd: unflatten(logStd, z) };
        return config.observation === 'normal'
          ? logDensity(all, pixels)
          : logTDensity(all, pixels, config.dof);
      }
      const { logLikelihood } = functions.run('log-likelihood', { w: rows(all), z: rows(z) }, parameters);
      return single(logLikelihood, z);
    },
    logLatent(z) {
      if (config.latentPrior === 'standard') return logStandardDensity(z);
      return single(functions.run('log-latent', { z: rows(z) }, parameters).logLatent, z);
    },
  };
}

/** Independent t's of one dimension, (52) with d = 1: Σ_j log t_ν(w_j | mean_j, std_j), [.., d] → [..]. */
function logTDensity(w: tf.Tensor, { mean, logStd }: DiagonalNormal, dof: number): tf.Tensor {
  const square = tf.square(tf.mul(tf.sub(w, mean), tf.exp(tf.neg(logStd))));
  const falling = tf.mul(tf.log(tf.add(tf.div(square, dof), 1)), 0.5 * (dof + 1));
  return tf.sum(tf.sub(tf.sub(logConstant(dof, 1), logStd), falling), -1);
}

export const external: StoredFamily<ExternalConfig> = {
  name: 'external',
  summary: 'prior that another program fitted, as ONNX graphs',
  config,
  prior(size, config, parameters): KernelPrior {
    check(config, size, parameters);
    const d = kernelLength(size);
    const { graphs, latent, dof } = config;
    const functions = new Functions(size, config);
    const decodes = graphs.decoder !== undefined && config.latentPrior === 'standard';
    const heavy = config.observation === 't';
    return {
      family: 'external',
      size,
      config,
      parameters,
      generateNoise: (n): Specs =>
        graphs.sampler || !decodes
          ? Object.fromEntries(
              Object.entries(config.noise).map(([name, shape]) => [name, spec([n, ...shape])]),
            )
          : {
              latent: spec([n, latent!]),
              kernels: spec([n, d]),
              ...(heavy && { tail: spec([n, d, dof]) }),
            },
      generate(parameters, noise) {
        if (graphs.sampler) return functions.run('sampler', noise, parameters).kernels;
        // t is a normal divided by √(χ²_ν / ν)
        const factor = heavy ? tf.sqrt(tf.div(dof, tf.sum(tf.square(noise.tail), 2))) : 1;
        const pixels = functions.normal('decoder', { z: noise.latent }, parameters, d);
        return reparameterise(pixels, tf.mul(noise.kernels, factor));
      },
      density: graphs.encoder
        ? {
            kind: 'latent',
            latentSize: latent!,
            encoder: Object.keys(parameters).filter((name) => name.startsWith('encoder.')),
            of: (parameters) => latentDensity(size, config, parameters),
            ...(graphs.decoder &&
              !heavy && {
                decode: (parameters: Tensors, z: tf.Tensor) =>
                  functions.normal('decoder', { z }, parameters, d),
              }),
          }
        : {
            kind: 'exact',
            logDensity: (parameters, w) => {
              const { logDensity } = functions.run('log-density', { w: tf.reshape(w, [-1, d]) }, parameters);
              return tf.reshape(logDensity, w.shape.slice(0, -1));
            },
          },
    };
  },
};

/** @throws DwpError INPUT when graphs are missing, lack an input or output, or name weights that are not there */
function check(config: ExternalConfig, { channels = 1 }: KernelSize, parameters: Arrays): void {
  const { graphs, latent } = config;
  const needs = (name: keyof typeof graphs, inputs: string[], outputs: string[]) => {
    const program = graphs[name];
    if (!program) throw badParameter(`the graph ${name} is missing`);
    for (const role of inputs)
      if (!program.inputs[role]) throw badParameter(`the graph ${name} has no input that is ${role}`);
    for (const role of outputs)
      if (!program.outputs[role]) throw badParameter(`the graph ${name} has no output that is ${role}`);
  };
  const spread = (name: 'encoder' | 'decoder') => {
    if (!SPREADS.some((role) => graphs[name]?.outputs[role]) && !(name === 'decoder' && parameters[LOG_STD]))
      throw badParameter(`the graph ${name} has no output that is ${SPREADS.join(', ')}`);
  };
  if (graphs.encoder) {
    if (latent === undefined) throw badParameter('the size of z is missing');
    needs('encoder', ['w'], ['mean']);
    spread('encoder');
    if (graphs.decoder) {
      needs('decoder', ['z'], ['mean']);
      spread('decoder');
    } else needs('log-likelihood', ['w', 'z'], ['logLikelihood']);
    if (config.latentPrior === 'log-latent') needs('log-latent', ['z'], ['logLatent']);
    if (!graphs.decoder || config.latentPrior === 'log-latent') needs('sampler', [], ['kernels']);
  } else {
    needs('log-density', ['w'], ['logDensity']);
    needs('sampler', [], ['kernels']);
  }
  for (const role of Object.keys(graphs.sampler?.inputs ?? {}))
    if (!config.noise[role]) throw badParameter(`the sampler's noise ${role} has no shape`);
  for (const [name, program] of Object.entries(graphs)) {
    if (channels > 1 && program?.inputs.w && program.rank === 3)
      throw badParameter(`the graph ${name} takes kernels [n, h, w], and these have ${channels} channels`);
    checkProgram(`graph ${name}`, program as Program);
    for (const parameter of Object.values((program as Program).weights))
      if (!Object.hasOwn(parameters, parameter)) throw badParameter(`${parameter} is missing`);
  }
}
