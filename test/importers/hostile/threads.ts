// Keeps the threads that read HDF5 over files that they have refused. The importer starts a new one after each, since
// the library may be in disorder; that takes a hundred times as long as a small file. One that hangs is ended here, too.
import { EventEmitter } from 'node:events';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { Worker as NodeWorker, type WorkerOptions } from 'node:worker_threads';

/** The import itself will be the class below. */
const Worker = NodeWorker;

/** As the importer and its thread share memory: whether bytes are there, and the bytes. */
interface SharedMemory {
  control: SharedArrayBuffer;
  shared: SharedArrayBuffer;
}

interface Thread {
  worker: NodeWorker;
  memory: SharedMemory;
  uses: number;
}

/** The library's memory never shrinks, and what failures leave behind adds up. */
const MOST_USES = 300;

const MOST_SPARE = 4;

const spare: Thread[] = [];

/** Looks like a new thread, and is an old one where there is one to spare. */
class KeptWorker extends EventEmitter {
  private readonly thread: Thread;
  private readonly memory: SharedMemory;
  /** Questions without an answer. */
  private open = 0;

  constructor(file: URL, options: WorkerOptions) {
    super();
    this.memory = options.workerData as SharedMemory;
    const old = spare.pop();
    if (old) queueMicrotask(() => this.emit('message', { ready: true }));
    this.thread = old ?? { worker: new Worker(file, options), memory: this.memory, uses: 0 };
    this.thread.uses++;
    this.thread.worker
      .on('message', (message: { need?: number; answer?: unknown; error?: unknown }) => {
        if (message.answer !== undefined || message.error !== undefined) this.open--;
        this.emit('message', message);
        if (message.need !== undefined) this.handOver();
      })
      .on('error', (error) => this.emit('error', error))
      .on('exit', (code) => this.emit('exit', code));
  }

  postMessage(message: unknown): void {
    this.open++;
    this.thread.worker.postMessage(message);
  }

  async terminate(): Promise<void> {
    const { worker, uses } = this.thread;
    for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event); // and no others: Node has some
    if (this.open === 0 && uses < MOST_USES && spare.length < MOST_SPARE) {
      worker.postMessage({ close: true }); // its answer comes before that to any other question
      await new Promise((closed) => worker.once('message', closed));
      spare.push(this.thread);
    } else await worker.terminate();
  }

  ref(): void {
    this.thread.worker.ref();
  }

  unref(): void {
    this.thread.worker.unref();
  }

  /** The importer has filled the memory of this worker: the thread may know another. */
  private handOver(): void {
    const { memory } = this.thread;
    if (memory === this.memory) return;
    new Uint8Array(memory.shared).set(new Uint8Array(this.memory.shared));
    const control = new Int32Array(memory.control);
    Atomics.store(control, 0, new Int32Array(this.memory.control)[0]);
    Atomics.notify(control, 0);
  }
}

/** From now on, for as long as the process lives. */
export function keepThreads(): void {
  createRequire(import.meta.url)('node:worker_threads').Worker = KeptWorker;
  syncBuiltinESMExports();
}
