// The evidence lower bound of a trained network by its parts, averaged over many draws, at temperature 1, with the K that
// training had.
import { HIERARCHICAL } from '../bounds/settings.js';
import { foldIn } from '../engine/index.js';
import { type LayerDraw, layerBounds } from '../evaluate/layer-bounds.js';
import { mean, standardError } from '../evaluate/summary.js';
import { randomLayers } from '../network/index.js';
import type { Arrays } from '../priors/index.js';
import { logLikelihoods, type TrainedNetwork } from './log-likelihood.js';

/** Nats for the whole training set; total = expectedLogLikelihood + priorTerm + entropyTerm ≤ log evidence. */
export interface BoundReport {
  total: number;
  expectedLogLikelihood: number;
  /** E_q log p(W), or a lower bound of it. */
  priorTerm: number;
  /** −E_q log q(W), the posterior's entropy, or a lower bound of it. */
  entropyTerm: number;
  /** How much the two rise with many more samples: an estimate, itself too low, of what their bounds lose. */
  innerGap: number;
  standardError: number;
  /** Of the weights, for the likelihood. */
  draws: number;
}

const DRAWS = 20;
/** Draws for the prior and entropy terms: fewer where each takes many samples. */
const drawsWith = (samples: number) => Math.max(5, Math.min(DRAWS, Math.ceil(400 / samples)));
/** Examples for one draw of the weights. */
const EXAMPLES = 500;
/** K that the inner gap compares with; so many times that of training where this is more. */
const INNER_SAMPLES = 50;
const INNER_FACTOR = 4;

/**
 * @param components parameters of each component of q. The bound is the left side of (120), the mean of theirs: that of
 *   their mixture is up to log M above it, by as much as they lie apart, and equal where they are equal. The inner gap,
 *   which takes many samples, is that of the first
 */
export async function finalBound({
  components,
  ...trained
}: TrainedNetwork & { components: readonly Arrays[] }): Promise<BoundReport> {
  const reports: Omit<BoundReport, 'innerGap'>[] = [];
  const share = (draws: number) => Math.max(2, Math.ceil(draws / components.length));
  let innerGap = 0;
  for (const [c, parameters] of components.entries()) {
    const component = {
      ...trained,
      parameters,
      key: c === 0 ? trained.key : foldIn(trained.key, 'component', c),
    };
    reports.push(await boundOfOne(component, share));
    if (c === 0) innerGap = await innerGapOf(component);
  }
  const average = (part: keyof (typeof reports)[number]) => mean(reports.map((report) => report[part]));
  return {
    total: average('total'),
    expectedLogLikelihood: average('expectedLogLikelihood'),
    priorTerm: average('priorTerm'),
    entropyTerm: average('entropyTerm'),
    innerGap,
    standardError: Math.hypot(...reports.map(({ standardError }) => standardError)) / reports.length,
    draws: reports.reduce((sum, { draws }) => sum + draws, 0),
  };
}

/** One component of q. */
type Component = TrainedNetwork & { parameters: Arrays };

/** @param share how many of so many draws are this component's */
async function boundOfOne(
  component: Component,
  share: (draws: number) => number,
): Promise<Omit<BoundReport, 'innerGap'>> {
  const draws = share(DRAWS);
  const likelihood = await logLikelihoods({ ...component, draws, examples: EXAMPLES });
  const { priorSamples, posteriorSamples } = component.model.bound ?? HIERARCHICAL;
  const used = Math.max(priorSamples, posteriorSamples);
  const divergence = await divergenceDraws(component, [], share(drawsWith(used)));
  const prior = divergence.map((draw) => sum(draw, ({ trained }) => trained.prior));
  const entropy = divergence.map((draw) => -sum(draw, ({ trained }) => trained.posterior));
  const both = prior.map((x, m) => x + entropy[m]); // of the same weights
  return {
    total: mean(likelihood) + mean(both),
    expectedLogLikelihood: mean(likelihood),
    priorTerm: mean(prior),
    entropyTerm: mean(entropy),
    standardError: Math.hypot(standardError(likelihood), standardError(both)),
    draws,
  };
}

/** How much prior and entropy terms rise with many more samples, at one draw of the weights, nats. */
async function innerGapOf(component: Component): Promise<number> {
  const { priorSamples, posteriorSamples } = component.model.bound ?? HIERARCHICAL;
  const many = Math.max(INNER_SAMPLES, INNER_FACTOR * Math.max(priorSamples, posteriorSamples));
  const [draw] = await divergenceDraws({ ...component, key: foldIn(component.key, 'inner') }, [many], 1);
  return sum(
    draw,
    ({ trained, prior: [p], posterior: [q] }) => p.lower - trained.prior + trained.posterior - q.upper,
  );
}

const sum = (draw: LayerDraw[], f: (layer: LayerDraw) => number): number =>
  draw.reduce((total, layer) => total + f(layer), 0);

/** The bounds of all layers, draw by draw. */
async function divergenceDraws(
  { model, parameters, engine, key }: Component,
  samples: readonly number[],
  draws: number,
): Promise<LayerDraw[][]> {
  const result = Array.from({ length: draws }, (): LayerDraw[] => []);
  for (const layer of randomLayers(model.architecture)) {
    if (!model.priors[layer.name]) continue;
    const bounds = await layerBounds({ model, layer, parameters, samples, engine });
    for (const [m, draw] of result.entries()) draw.push(await bounds.draw(foldIn(key, layer.name, m)));
    await bounds.release();
  }
  return result;
}
