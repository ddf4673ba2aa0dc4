// Scanning many models: in this thread, or in several, which changes nothing but the time it takes.
import { Worker } from 'node:worker_threads';
import { DwpError, inputError } from '../errors.js';
import { statOf } from '../formats/read-file.js';
import { type ModelFile, openModel } from '../importers/index.js';
import type { CollectOptions } from './options.js';
import { type ModelOpener, type ScannedLayer, type ScannedModel, scanModel } from './scan.js';

/** What a thread is asked: to scan a model. */
export interface Order {
  index: number;
  path: string;
}

/** What it says about the model: any number of layers and shares, then one of the others. */
export type Answer = { index: number } & (
  | { layer: ScannedLayer }
  | { share: number }
  | { model: ScannedModel }
  | { refused: { message: string; hint?: string } }
  | { bug: unknown }
);

export interface PoolHooks {
  /** In no order among models; in that of the model within one. */
  layer(index: number, layer: ScannedLayer): void;
  /** After its last layer. */
  model(index: number, model: ScannedModel): void;
  progress(index: number, share: number): void;
  signal?: AbortSignal;
}

/**
 * @param threads 1 or fewer: all in this one
 * @returns for each file its description, or the error that says why it cannot be read
 * @throws DwpError INTERRUPTED when `hooks.signal` aborts
 */
export async function scanModels(
  files: readonly ModelFile[],
  options: CollectOptions,
  threads: number,
  hooks: PoolHooks,
  open: ModelOpener = openModel,
): Promise<(ScannedModel | DwpError)[]> {
  // threads need compiled files, and models that a path leads to
  const many = Math.min(threads, files.length);
  if (many > 1 && open === openModel && import.meta.url.endsWith('.js'))
    return scanInThreads(files, options, many, hooks);
  const results: (ScannedModel | DwpError)[] = [];
  for (const [index, file] of files.entries()) {
    const pause = () => letThrough(hooks.signal);
    try {
      await pause();
      const layer = (scanned: ScannedLayer) => hooks.layer(index, scanned);
      const progress = (share: number) => hooks.progress(index, share);
      const model = await scanModel(file, options, { layer, progress, pause }, open);
      hooks.model(index, model);
      results.push(model);
    } catch (error) {
      if (!(error instanceof DwpError && error.code === 'INPUT')) throw error;
      results.push(error);
    }
    hooks.progress(index, 1);
  }
  return results;
}

function scanInThreads(
  files: readonly ModelFile[],
  options: CollectOptions,
  threads: number,
  hooks: PoolHooks,
): Promise<(ScannedModel | DwpError)[]> {
  const results = new Array<ScannedModel | DwpError>(files.length);
  const workers: Worker[] = [];
  return new Promise<(ScannedModel | DwpError)[]>((resolve, reject) => {
    let next = 0;
    let open = files.length;
    // the largest first, so that none is left for the end
    const sizes = files.map(({ path, bytes }) => bytes ?? statOf(path)?.size ?? 0);
    const order = files.map((_, i) => i).sort((a, b) => sizes[b] - sizes[a]);
    const give = (worker: Worker) => {
      if (next === order.length) return;
      const index = order[next++];
      worker.postMessage({ index, path: files[index].path } satisfies Order);
    };
    hooks.signal?.addEventListener('abort', () => reject(interrupted()), { once: true });
    for (let i = 0; i < threads; i++) {
      const worker = new Worker(new URL('./scan-worker.js', import.meta.url), { workerData: options });
      workers.push(worker);
      worker.on('error', reject);
      worker.on('message', (answer: Answer) => {
        const { index } = answer;
        try {
          if ('layer' in answer) hooks.layer(index, answer.layer);
          else if ('share' in answer) hooks.progress(index, answer.share);
          else if ('bug' in answer) reject(answer.bug);
          else {
            if ('model' in answer) hooks.model(index, answer.model);
            results[index] =
              'model' in answer ? answer.model : inputError(answer.refused.message, answer.refused.hint);
            hooks.progress(index, 1);
            if (--open === 0) resolve(results);
            else give(worker);
          }
        } catch (error) {
          reject(error);
        }
      });
      give(worker);
    }
    if (hooks.signal?.aborted) reject(interrupted());
  }).finally(() => Promise.all(workers.map((worker) => worker.terminate())));
}

const interrupted = () =>
  new DwpError('INTERRUPTED', 'interrupted while models were read', 'nothing was written');

/** Lets Ctrl-C through, and obeys it. */
export async function letThrough(signal?: AbortSignal): Promise<void> {
  await new Promise(setImmediate);
  if (signal?.aborted) throw interrupted();
}
