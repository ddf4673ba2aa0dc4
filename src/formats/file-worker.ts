// Thread that writes files and computes sha256; see file-work.ts for what it is asked. Pieces to write go before digests.
import { parentPort } from 'node:worker_threads';
import { createFile, digestFile, type FileAnswer, type FileOrder } from './file-work.js';

const port = parentPort!;
const files = new Map<number, ReturnType<typeof createFile>>();
const answer = (message: FileAnswer, moved: ArrayBuffer[] = []) => port.postMessage(message, moved);
let digests: Promise<unknown> = Promise.resolve();

async function failing(id: number, work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { message, code, hint } = error as NodeJS.ErrnoException & { hint?: string };
    answer({ id, failed: { message, code, hint } });
  }
}

port.on('message', (order: FileOrder) => {
  const { id } = order;
  if ('digest' in order) {
    const { digest, bytes } = order;
    digests = digests.then(() =>
      failing(id, async () => answer({ id, digested: await digestFile(digest, bytes) })),
    );
    return;
  }
  void failing(id, () => {
    if ('create' in order) files.set(id, createFile(order.create));
    const file = files.get(id);
    if (!file) return; // it could not be created, which has been said
    if ('append' in order) {
      file.append(order.append);
      answer({ id, written: order.append }, [order.append.buffer]);
    } else if ('finish' in order) answer({ id, finished: file.finish() });
  });
});
