// Makes the shipped sources again: trains small CNNs on Fashion-MNIST, exports them to pretrained/, collects their
// kernels into kernels-dataset/. Takes about 15 minutes on 2 cores; finished runs in the work folder are kept.
//
//   npm run build && node scripts/train-sources.mjs [work folder]
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const NETS = 48;
/** The first networks ship as ONNX models, the next few as Keras HDF5; the kernels of all of them ship. */
const SHIPPED_ONNX = 12;
const SHIPPED_KERAS = 3;

const work = process.argv[2] ?? 'runs/sources';
const dwp = (...args) =>
  execFileSync('node', ['dist/cli/main.js', ...args], { stdio: ['ignore', 'inherit', 'inherit'] });

const nameOf = (i) => `lenet-${String(i).padStart(2, '0')}`;

for (let i = 0; i < NETS; i++) {
  const run = join(work, nameOf(i));
  if (existsSync(join(run, 'summary.json'))) continue;
  rmSync(run, { recursive: true, force: true });
  dwp(
    ...[
      'train',
      '--out',
      run,
      '--data',
      'fashion-mnist',
      '--examples',
      '20000',
      '--split',
      `${i}`,
      '--seed',
      `${i}`,
    ],
    ...['--prior', 'none', '--channels', '32', '16', '--steps', '1000', '--batch', '64'],
    ...['--learning-rate', '0.005', '--weight-decay', '100', '--threads', '1', '--quiet'],
  );
}

const models = join(work, 'models');
rmSync(models, { recursive: true, force: true });
mkdirSync(models);
for (let i = 0; i < NETS; i++)
  dwp('export', join(work, nameOf(i)), '--onnx', join(models, `${nameOf(i)}.onnx`));

for (const file of readdirSync('pretrained')) if (/\.(onnx|h5)$/.test(file)) rmSync(join('pretrained', file));
for (let i = 0; i < SHIPPED_ONNX + SHIPPED_KERAS; i++)
  if (i < SHIPPED_ONNX)
    copyFileSync(join(models, `${nameOf(i)}.onnx`), join('pretrained', `${nameOf(i)}.onnx`));
  else dwp('export', join(work, nameOf(i)), '--keras', join('pretrained', `${nameOf(i)}.h5`));

const card = readFileSync('kernels-dataset/README.md', 'utf8');
rmSync('kernels-dataset', { recursive: true });
dwp('collect-kernels', models, '--out', 'kernels-dataset', '--min-norm', '0.05', '--licence', 'Apache-2.0');
writeFileSync('kernels-dataset/README.md', card);

// What the cards say of accuracy comes from here.
const accuracies = Array.from(
  { length: NETS },
  (_, i) => JSON.parse(readFileSync(join(work, nameOf(i), 'summary.json'), 'utf8')).test.accuracy,
);
console.log(
  `test accuracy of the ${NETS} networks: ${Math.min(...accuracies)} to ${Math.max(...accuracies)}`,
);
