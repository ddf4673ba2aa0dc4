// Where the time of a training step goes: the step of dwp's defaults, compiled as training compiles it.
import type { Engine, Explanation, Key } from '../engine/index.js';
import { layoutOf } from '../engine/index.js';
import { convLayers, namedArchitecture, weightShape, xavier } from '../network/index.js';
import { posteriors } from '../posteriors/index.js';
import { isotropicNormal } from '../priors/index.js';
import { initialState, priorConstants, trainingInputs, trainingStep } from './train-network.js';

const BATCH = 50;
const IMAGE = { height: 28, width: 28, channels: 1 };

/**
 * Compiles and runs a step of LeNet 32/128 with a mean-field posterior, weight samples and a standard normal prior.
 * @throws DwpError USAGE on an engine that compiles no graph
 */
export async function explainTraining(engine: Engine, key: Key): Promise<Explanation> {
  const architecture = namedArchitecture('lenet', IMAGE, 10);
  const layers = convLayers(architecture);
  const model = {
    architecture,
    posterior: posteriors['mean-field'],
    estimator: 'weight-samples' as const,
    priors: Object.fromEntries(
      layers.map((layer) => {
        const [, , h, w] = weightShape(layer);
        return [layer.name, isotropicNormal({ h, w }, {}, 1)];
      }),
    ),
    examples: 1000,
    kernelSubsample: 512,
  };
  const weights = Object.fromEntries(layers.map((layer) => [layer.name, xavier(layer, key)]));
  const { parameters } = initialState({ architecture, posterior: model.posterior, weights, logStd: -5, key });
  const layout = layoutOf(parameters);
  const step = await engine.compile(
    trainingStep(model, { learningRate: 1e-3, weightDecay: 0, denseDecay: 0 }, layout),
    {
      inputs: trainingInputs(model, BATCH, IMAGE, layout),
      constants: priorConstants(model),
    },
  );
  try {
    return await engine.explain(step);
  } finally {
    await step.release();
  }
}
