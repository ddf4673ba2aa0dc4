// The library without the command line: a prior of kernels, a network of one's own, and how well it predicts.
import * as dwp from 'deep-weight-prior';

const engine = await dwp.createEngine('native');
const key = dwp.seedKey(0); // determines every random number
const { train, test } = dwp.loadDataset('mnist');
const { train: rows } = dwp.stratifiedSplit(train.labels, 10, 100, 0, key); // ten of each digit
const kernels = dwp.readKernelDataset('kernels-dataset', '5x5').train; // [n, 5, 5]
const gaussian = dwp.families.get('gaussian');
const { prior } = await dwp.fitPrior({ family: gaussian, kernels, engine, key }); // with all defaults

const input = { height: 28, width: 28, channels: 1 };
const architecture = dwp.buildArchitecture('mine', input, 10, [
  { kind: 'conv', name: 'conv', channels: 32, kernel: 5 },
  { kind: 'relu' },
  { kind: 'max-pool', size: 4 },
  { kind: 'flatten' },
  { kind: 'dense', units: 10 },
]);
const posterior = dwp.posteriors['mean-field'];
const settings = { estimator: 'weight-samples', examples: 100, kernelSubsample: 32 };
const model = { architecture, posterior, priors: { conv: prior }, ...settings };
const conv = dwp.f32([32, 1, 5, 5], await dwp.samplePrior(prior, 32, engine, key)); // starts at its samples
const state = dwp.initialState({ architecture, posterior, weights: { conv }, logStd: -5, key });
const penalties = { temperature: 0.1, warmUp: 0, weightDecay: 0, denseDecay: 0 };
const options = { learningRate: 3e-3, batch: 50, steps: 200, logEvery: 200, ...penalties };
const { parameters } = await dwp.trainNetwork({ model, images: train, rows, options, state, engine, key });
const predicted = { network: model, parameters, images: test, samples: 1 }; // one draw of the weights
const { value } = await dwp.predictions({ ...predicted, engine, key }).next();
console.log(dwp.classificationMetrics(value, test.labels, 10));
