// Whether Markov chains agree, and what their draws are worth.
import { chainEstimate, effectiveSampleSize, rHat } from '../mcmc/index.js';
import type { Observation, SamplingOptions, SamplingState } from '../train/sample-network.js';

/** Of a function of the network over all chains; `name` says its unit. */
export interface ChainFunction {
  name: string;
  mean: number;
  standardError: number;
  rHat: number;
  effectiveSampleSize: number;
}

export interface ChainReport {
  method: string;
  chains: number;
  /** Observed steps of each chain. */
  draws: number;
  /** Of hmc: mean probability of acceptance after the warm-up. */
  acceptance?: number;
  /** Of each chain after its warm-up, in standard deviations of the prior; of sgld and sghmc the largest of a cycle. */
  stepSizes: number[];
  functions: ChainFunction[];
}

export function chainReport(
  { method, chains }: SamplingOptions,
  trace: readonly Observation[],
  { places }: SamplingState,
): ChainReport {
  const observedIn = (chain: number) => trace.filter((observation) => observation.chain === chain);
  const all = Array.from({ length: chains }, (_, c) => observedIn(c));
  const acceptances = trace.flatMap(({ acceptance }) => (acceptance === undefined ? [] : [acceptance]));
  return {
    method,
    chains,
    draws: all[0].length,
    ...(method === 'hmc' && {
      acceptance: acceptances.reduce((a, b) => a + b, 0) / acceptances.length,
    }),
    stepSizes: places.map(({ step }) => Math.exp(step.logStep)),
    functions: Object.keys(trace[0]?.values ?? {}).map((name) => {
      const values = all.map((chain) => chain.map((observation) => observation.values[name]));
      return {
        name,
        ...chainEstimate(values),
        rHat: rHat(values),
        effectiveSampleSize: effectiveSampleSize(values),
      };
    }),
  };
}
