// Our side of one case in a process of its own, spoken to as the peers are (peers/common.py), so that no case
// inherits the memory of another: node worker.js CASE FILE THREADS CLOCK. FILE is where the reference goes.
import { createInterface } from 'node:readline';
import { createEngine } from '../src/engine/index.js';
import { writeSafetensors } from '../src/formats/safetensors.js';
import { cases } from './cases/index.js';
import { type Clock, setClock } from './clock.js';

const [name, file, threads, clock] = process.argv.slice(2);
const benchmark = cases.find((one) => one.name === name)!;
const answer = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

setClock(clock as Clock);
const prepared = await benchmark.prepare(await createEngine('native', Number(threads)));
const { tensors, settings, losses } = prepared.reference;
writeSafetensors(file, tensors, { settings: JSON.stringify({ ...settings, peer: benchmark.peer }) });
answer({ losses, what: `Node ${process.version}` });
for await (const line of createInterface({ input: process.stdin }))
  answer({ ms: await prepared.time(Number(line.split(' ')[1])) });
await prepared.release();
