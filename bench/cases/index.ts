// All cases: a new one is one file, one line here, and its functions in peers/.
import type { Case } from '../case.js';
import { fitCases } from './fit-vae.js';
import { lenetCases } from './lenet.js';
import { matmul } from './matmul.js';
import { netCases } from './nets.js';

/** matmul first: the others are compared with its rate. */
export const cases: readonly Case[] = [matmul, ...lenetCases, ...netCases, ...fitCases];
