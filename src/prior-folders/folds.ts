// What every prior of a comparison is fitted to and judged on: random kernels held out once for each seed, or each network
// held out once.

import { inputError } from '../errors.js';
import { concatKernels, type KernelDataset, type NetworkKernels, slicesOf } from '../kernels/index.js';
import { type Parts, partsOf } from './fit-and-judge.js';

export interface Fold {
  seed: number;
  /** Name of the network, or source of networks, that is held out. */
  network?: string;
  /** Held out. */
  kernels: number;
  parts(): Parts;
  /** Added to a density of the test kernels, it is that of the weights (140); nats per kernel. */
  correction: number;
  /** Rows that count as one kernel. */
  together: number;
}

/** @throws DwpError INPUT when either part has too few kernels */
export const seedFolds = (dataset: KernelDataset, testFraction: number, seeds: readonly number[]): Fold[] =>
  seeds.map((seed) => {
    const parts = partsOf(dataset, testFraction, seed);
    return { seed, kernels: parts.test.count, parts: () => parts, correction: 0, together: 1 };
  });

/**
 * Each network is judged by what is fitted to all others.
 * @param slices priors are fitted to the slices of filters, and a filter has the sum over its slices (102)
 * @throws DwpError INPUT when there are fewer than two networks
 */
export function networkFolds(networks: readonly NetworkKernels[], seed: number, slices: boolean): Fold[] {
  if (networks.length < 2)
    throw inputError(
      `there are enough kernels of ${networks.length} only: none can be held out`,
      'take kernels of two networks or more; of one source, --hold-out networks',
    );
  return networks.map((held) => {
    const { name, kernels, logUnits } = held;
    const { channels = 1, h, w } = kernels;
    const taken = slices ? slicesOf : <T>(all: T) => all;
    return {
      seed,
      network: name,
      kernels: kernels.count,
      parts: () => ({
        train: taken(concatKernels(networks.filter((other) => other !== held).map((other) => other.kernels))),
        test: taken(kernels),
      }),
      // (140) log p(w) = log p_u(w/s) − d log s
      correction: (-channels * h * w * logUnits.reduce((a, b) => a + b, 0)) / kernels.count,
      together: slices ? channels : 1,
    };
  });
}
