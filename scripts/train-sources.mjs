// Makes the shipped sources again: trains small CNNs on Fashion-MNIST, exports them to pretrained/, collects their
// kernels into kernels-dataset/. Takes about 15 minutes on 2 cores; finished runs in the work folder are kept.
//
//   npm run build && node scripts/train-sources.mjs [work folder]
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const NETS = 40;
/** Networks whose models ship; the kernels of all of them do. */
const SHIPPED = 12;
/** The first of the shipped ones are exported to Keras HDF5 as well. */
const KERAS = 3;

const work = process.argv[2] ?? 'runs/sources';
const dwp = (...args) => execFileSync('node', ['dist/cli/main.js', ...args], { stdio: ['ignore', 'inherit', 'inherit'] });

for (let i = 0; i < NETS; i++) {
  const run = join(work, `lenet-${String(i).padStart(2, '0')}`);
  if (existsSync(join(run, 'summary.json'))) continue;
  rmSync(run, { recursive: true, force: true });
  dwp(
    ...['train', '--out', run, '--data', 'fashion-mnist', '--examples', '20000', '--split', `${i}`, '--seed', `${i}`],
    ...['--prior', 'none', '--channels', '32', '16', '--steps', '1000', '--batch', '64'],
    ...['--learning-rate', '0.002', '--weight-decay', '50', '--threads', '1', '--quiet'],
  );
}
