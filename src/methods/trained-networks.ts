// What methods have in common that train networks by Adam, one after the other from different starts (120), in a run's
// folder: checkpoint.safetensors (the one that is trained), components/NNNN.safetensors (those that are done) and
// metrics.jsonl (the trace of all).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Engine, f32, foldIn, layoutOf } from '../engine/index.js';
import { inputError } from '../errors.js';
import { predictions } from '../evaluate/index.js';
import { writeFileAtomic } from '../formats/files.js';
import { hasNumbers, readJsonLines } from '../formats/read-file.js';
import { convLayers, weightShape } from '../network/index.js';
import type { Arrays } from '../priors/index.js';
import { componentKey, type Problem, startKey } from '../problems/problem.js';
import { auxiliaryParameters } from '../train/auxiliary.js';
import { rateFactors } from '../train/rates.js';
import { initialState, type NetworkOptions, type TracePoint, trainNetwork } from '../train/train-network.js';
import {
  CHECKPOINT,
  type Progress,
  readCheckpoint,
  readComponents,
  writeCheckpoint,
  writeComponent,
} from './checkpoint.js';
import { checkpointed } from './checkpointed.js';
import { classifierOf, denseDecayOf, denseStartOf } from './classifier.js';
import type { Method, Task } from './method.js';
import { STEPS_PER_ROOT, type TrainedConfig } from './options.js';

/** In what such methods differ. */
interface Training<C extends TrainedConfig> {
  /** M of (120). */
  components(config: C): number;
  networkOptions(config: C): Omit<NetworkOptions, 'steps' | 'denseDecay' | 'logEvery'>;
  /** Log standard deviation that the posterior starts with. */
  initialLogStd(config: C): number;
  /** Draws of the weights in all; without it each network predicts once. */
  samples?(config: C): number;
}

type SharedParts = 'complete' | 'start' | 'advance' | 'steps' | 'stepsDone' | 'networks' | 'predictions';

const TRACE = 'metrics.jsonl';
const TRACE_POINTS = 200;

/** Steps of each network. docs/networks.md says where the default comes from. */
const stepsOfEach = ({ steps, examples }: TrainedConfig): number =>
  steps ?? Math.round(STEPS_PER_ROOT * Math.sqrt(examples));

export function trainedNetworks<C extends TrainedConfig>(
  training: Training<C>,
): Pick<Method<C>, SharedParts> {
  return {
    complete: (config) => ({
      ...config,
      components: training.components(config),
      steps: stepsOfEach(config),
      denseStart: denseStartOf(config),
      denseDecay: denseDecayOf(config),
    }),
    steps: (config) => training.components(config) * stepsOfEach(config),
    stepsDone(folder, config) {
      if (!existsSync(join(folder, CHECKPOINT))) return undefined;
      const { component, step } = readCheckpoint(folder);
      return component * stepsOfEach(config) + step;
    },
    async start(task) {
      const state = await startOf(training, task, 0);
      return (folder) => {
        writeTrace(folder, []);
        writeCheckpoint(folder, state);
      };
    },
    advance: (task) => advance(training, task),
    networks: (folder, _, network) => readComponents(folder, network),
    predictions({ config, folder, problem, engine }, samples = training.samples?.(config)) {
      const components = readComponents(folder, problem.model);
      const count = problem.model.posterior.kernels && samples ? samples : components.length;
      return { count, draws: drawsOf(problem, components, count, engine) };
    },
  };
}

/** Component 0, 1, … before its first step. */
async function startOf<C extends TrainedConfig>(
  training: Training<C>,
  { config, problem, engine }: Task<C>,
  component: number,
): Promise<Progress> {
  const { architecture, posterior } = problem.model;
  const classifier = await classifierOf(config, problem, engine);
  const convolutions = await problem.weights(engine, component);
  const state = initialState({
    architecture,
    posterior,
    weights: convolutions,
    logStd: training.initialLogStd(config),
    key: startKey(problem.key, component),
    auxiliary: auxiliaryParameters(problem.model),
    denseStart: await classifier.start(component, convolutions),
    stored: problem.stored(),
  });
  return { component, ...state };
}

/** Trains the component that the folder's checkpoint is of, from there, and those that follow. @returns seconds */
async function advance<C extends TrainedConfig>(training: Training<C>, task: Task<C>): Promise<number> {
  const { config, folder, problem, engine, hooks } = task;
  const { model, train, key } = problem;
  const [steps, components] = [stepsOfEach(config), training.components(config)];
  // Killed before its first checkpoint, a run starts again: its configuration decides everything.
  const from = existsSync(join(folder, CHECKPOINT))
    ? readCheckpoint(folder, model)
    : await startOf(training, task, 0);
  requirePosition(folder, from, steps, components);
  const options: NetworkOptions = {
    ...training.networkOptions(config),
    denseDecay: (await classifierOf(config, problem, engine)).decay,
    steps,
    logEvery: Math.max(1, Math.round((components * steps) / TRACE_POINTS)),
  };
  const trace = readTrace(folder).filter(({ step }) => step <= from.component * steps + from.step);
  let latest = from;
  let detail = '';
  const save = () => {
    writeTrace(folder, trace);
    writeCheckpoint(folder, latest);
  };

  const trainOne = async (component: number, stepped: () => void): Promise<Progress> => {
    const before = component * steps; // the trace counts the steps of all components
    const final = await trainNetwork(
      {
        ...{ model, images: train.images, rows: train.rows, options, engine },
        ...{ key: componentKey(key, component), state: latest },
      },
      {
        signal: hooks.signal,
        trace(point) {
          trace.push({ ...point, step: before + point.step });
          detail = `log-likelihood ${(point.expectedLogLikelihood / config.examples).toFixed(3)} nats per example`;
        },
        stepped(state) {
          latest = { component, ...state };
          hooks.progress?.('training', before + state.step, components * steps, detail);
          stepped();
        },
      },
    );
    return { component, ...final };
  };

  const { seconds } = await checkpointed(folder, config.checkpointEvery, save, async (stepped) => {
    for (let component = from.component; component < components; component++) {
      if (component > from.component) {
        writeComponent(folder, component - 1, latest);
        latest = await startOf(training, task, component);
        save();
      }
      latest = await trainOne(component, stepped);
    }
  });
  return seconds;
}

/**
 * Refuses what {@link trainedNetworks} could not begin with.
 * @throws DwpError USAGE where a learning rate is given for what is not there
 */
export function requireTrainable(
  { architecture, posterior, ...model }: Problem['model'],
  options: Pick<
    NetworkOptions,
    'learningRate' | 'encoderLearningRate' | 'auxiliaryLearningRate' | 'priorLearningRate'
  >,
  { key }: Pick<Problem, 'key'>,
): void {
  const zeros = Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, f32(weightShape(layer))]),
  );
  const auxiliary = auxiliaryParameters({ architecture, posterior, ...model });
  const { parameters } = initialState({ architecture, posterior, weights: zeros, logStd: 0, key, auxiliary });
  rateFactors(layoutOf(parameters), options);
}

/** Probabilities [n, classes] of the judged images under draws of the components in turn, `count` in all. */
async function* drawsOf(
  { model, judged, key, statistics }: Problem,
  components: readonly Arrays[],
  count: number,
  engine: Engine,
): AsyncGenerator<Float32Array> {
  // one component after the other, so that each is compiled once; an average does not know the order
  const shares = components.map((_, c) => Math.ceil((count - c) / components.length));
  for (const [c, parameters] of components.entries())
    if (shares[c] > 0)
      yield* predictions({
        network: model,
        parameters,
        images: judged,
        samples: shares[c],
        engine,
        key: componentKey(foldIn(key, 'predict'), c),
        statistics,
      });
}

function requirePosition(folder: string, { step, component }: Progress, steps: number, components: number) {
  if (step <= steps && component < components) return;
  const path = join(folder, CHECKPOINT);
  throw inputError(
    step > steps
      ? `${path} holds step ${step}, but the run has only ${steps} steps`
      : `${path} holds component ${component + 1}, but the run has only ${components}`,
    'config.yaml was changed, or the checkpoint belongs to another run',
  );
}

const writeTrace = (folder: string, trace: readonly TracePoint[]): void =>
  writeFileAtomic(join(folder, TRACE), trace.map((point) => `${JSON.stringify(point)}\n`).join(''));

/** Lines of metrics.jsonl; a last line cut short by a crash is left out. */
export function readTrace(folder: string): TracePoint[] {
  const path = join(folder, TRACE);
  if (!existsSync(path)) return [];
  const fits = (value: unknown): value is TracePoint =>
    hasNumbers(value, 'step', 'bound', 'expectedLogLikelihood', 'priorTerm', 'entropyTerm');
  return readJsonLines(path, fits);
}
