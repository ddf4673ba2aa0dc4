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
import { type Classifier, classifierOf, denseDecayOf, denseStartOf } from './classifier.js';
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
  const steps = (config: C) => training.components(config) * stepsOfEach(config);

  const networkOptions = (config: C, { decay }: Pick<Classifier, 'decay'>): NetworkOptions => ({
    ...training.networkOptions(config),
    denseDecay: decay,
    steps: stepsOfEach(config),
    logEvery: Math.max(1, Math.round(steps(config) / TRACE_POINTS)),
  });

  /** Of component 0, 1, … before its first step. */
  async function startOf(
    { config, problem, engine }: Pick<Task<C>, 'config' | 'problem' | 'engine'>,
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

  async function advance(task: Task<C>): Promise<number> {
    const { config, folder, problem, engine, hooks } = task;
    const { model, train, key } = problem;
    // Killed before its first checkpoint, a run starts again: its configuration decides everything.
    const from = existsSync(join(folder, CHECKPOINT))
      ? readCheckpoint(folder, model)
      : await startOf(task, 0);
    const each = stepsOfEach(config);
    requirePosition(folder, from, each, training.components(config));
    const options = networkOptions(config, await classifierOf(config, problem, engine));
    const trace = readTrace(folder).filter(({ step }) => step <= from.component * each + from.step);
    let latest = from;
    let detail = '';
    const save = () => {
      writeTrace(folder, trace);
      writeCheckpoint(folder, latest);
    };
    const { seconds } = await checkpointed(folder, config.checkpointEvery, save, async (stepped) => {
      for (let component = from.component; component < training.components(config); component++) {
        if (component > from.component) {
          writeComponent(folder, component - 1, latest);
          latest = await startOf(task, component);
          save();
        }
        const before = component * each; // the trace counts the steps of all components
        const ownKey = componentKey(key, component);
        const final = await trainNetwork(
          { model, images: train.images, rows: train.rows, options, engine, key: ownKey, state: latest },
          {
            signal: hooks.signal,
            trace(point) {
              trace.push({ ...point, step: before + point.step });
              detail = `log-likelihood ${(point.expectedLogLikelihood / config.examples).toFixed(3)} nats per example`;
            },
            stepped(state) {
              latest = { component, ...state };
              hooks.progress?.('training', before + state.step, steps(config), detail);
              stepped();
            },
          },
        );
        latest = { component, ...final };
      }
    });
    return seconds;
  }

  return {
    complete: (config) => ({
      ...config,
      components: training.components(config),
      steps: stepsOfEach(config),
      denseStart: denseStartOf(config),
      denseDecay: denseDecayOf(config),
    }),
    steps,
    stepsDone(folder, config) {
      if (!existsSync(join(folder, CHECKPOINT))) return undefined;
      const { component, step } = readCheckpoint(folder);
      return component * stepsOfEach(config) + step;
    },
    async start(task) {
      const state = await startOf(task, 0);
      return (folder) => {
        writeTrace(folder, []);
        writeCheckpoint(folder, state);
      };
    },
    advance,
    networks: (folder, _, network) => readComponents(folder, network),
    predictions(task, samples = training.samples?.(task.config)) {
      const components = readComponents(task.folder, task.problem.model);
      const count = task.problem.model.posterior.kernels && samples ? samples : components.length;
      return { count, draws: drawsOf(task.problem, components, count, task.engine) };
    },
  };
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
