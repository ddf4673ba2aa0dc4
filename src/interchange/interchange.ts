// kernel-prior.json beside ONNX graphs: what a prior of kernels is, for programs that have never heard of this project.
// `dwp export` writes it, `dwp import-prior` reads it; by hand only the fields without a default are needed.
import { z } from 'zod';

export const DESCRIPTION = 'kernel-prior.json';
export const FORMAT = 'kernel-prior-onnx-1';

/** What an input or output of a graph is called there; free sizes of shapes are n (kernels) and K (samples). */
const port = z.preprocess(
  (value) => (typeof value === 'string' ? { name: value } : value),
  z.object({
    name: z.string().min(1),
    shape: z.array(z.union([z.number().int(), z.string()])).optional(),
    meaning: z.string().optional(),
  }),
);
const graph = z.object({
  file: z.string().min(1),
  bytes: z.number().int().optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  inputs: z.record(z.string(), port),
  outputs: z.record(z.string(), port),
});

/** Kernels are [n, h, w], of filters [n, channels, h, w]; [n, d] in graphs of others. */
export const GRAPHS = [
  'sampler',
  'log-density',
  'encoder',
  'decoder',
  'log-likelihood',
  'log-latent',
] as const;
export type GraphName = (typeof GRAPHS)[number];

export const interchange = z.object({
  format: z.literal(FORMAT),
  name: z.string().optional(),
  /** Of this project, where it comes from there. */
  family: z.string().optional(),
  size: z.object({
    h: z.number().int().min(1).max(32),
    w: z.number().int().min(1).max(32),
    channels: z.number().int().min(2).max(99).optional(),
  }),
  units: z.literal('nats').default('nats'),
  opset: z.number().int().optional(),
  latent: z
    .object({
      size: z.number().int().min(1).max(4096),
      prior: z.enum(['standard-normal', 'log-latent']).default('standard-normal'),
    })
    .optional(),
  /** p(w|z) of a decoder: independent pixels, normal or Student's t. Without logStd among its outputs it is given here. */
  observation: z
    .object({
      kind: z.enum(['normal', 't']).default('normal'),
      dof: z.number().int().min(1).max(1000).optional(),
      logStd: z.union([z.number(), z.array(z.number())]).optional(),
    })
    .optional(),
  graphs: z.partialRecord(z.enum(GRAPHS), graph),
  source: z.unknown().optional(),
  licence: z.string().optional(),
  /** Inputs and results of log-density, to try an implementation with. */
  example: z.record(z.string(), z.unknown()).optional(),
});
export type Interchange = z.infer<typeof interchange>;
export type InterchangeGraph = z.infer<typeof graph>;
