// Thread that scans models, one after the other; see scan-pool.ts for what is said.
import { parentPort, workerData } from 'node:worker_threads';
import { DwpError } from '../errors.js';
import type { CollectOptions } from './options.js';
import { scanModel } from './scan.js';
import type { Answer, Order } from './scan-pool.js';

const options = workerData as CollectOptions;
const port = parentPort!;
const answer = (message: Answer, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

port.on('message', async ({ index, path }: Order) => {
  try {
    const model = await scanModel({ path }, options, {
      layer: (layer) =>
        answer({ index, layer }, [layer.kept.buffer, layer.hashes.hashes.buffer, layer.hashes.rows.buffer]),
      progress: (share) => answer({ index, share }),
      pause: async () => {},
    });
    answer({ index, model });
  } catch (error) {
    if (error instanceof DwpError && error.code === 'INPUT') {
      const { message, hint } = error;
      answer({ index, refused: { message, hint } });
    } else answer({ index, bug: error });
  }
});
