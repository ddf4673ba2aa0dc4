// Kinds of layers by name: a new one is one file and one line.
import type { LayerKind } from '../layer.js';
import { activations } from './activations.js';
import { affine } from './affine.js';
import { batchNorm } from './batch-norm.js';
import { conv, depthwiseConv } from './conv.js';
import { dense } from './dense.js';
import { dropout } from './dropout.js';
import { flatten } from './flatten.js';
import { groupNorm, layerNorm } from './group-norm.js';
import { add, concat, multiply } from './joins.js';
import { pools } from './pools.js';
import { transposedConv } from './transposed-conv.js';

const all: readonly LayerKind[] = [
  conv,
  depthwiseConv,
  transposedConv,
  dense,
  batchNorm,
  affine,
  layerNorm,
  groupNorm,
  ...activations,
  ...pools,
  flatten,
  dropout,
  add,
  concat,
  multiply,
];

/** By name; a program may add kinds of its own. */
export const layerKinds: Map<string, LayerKind> = new Map(all.map((kind) => [kind.kind, kind]));
