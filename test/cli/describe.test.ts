// dwp describe as a process: tables of named networks and of files, priors of layers, and what it refuses; and a run of a
// network from a file that is gone afterwards.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomVae } from '../train/tiny.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp } from './run.js';

const EXAMPLES = fileURLToPath(new URL('../../examples/networks', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-describe-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('LeNet on 28×28: shapes, parameters, kernels and multiply-adds', async () => {
  const { code, out } = await dwp('describe', 'lenet', '--input', '28x28x1', '--format', 'json');
  expect(code).toBe(0);
  const { layers, totals } = JSON.parse(out);
  expect(layers[0]).toEqual({
    name: 'conv1',
    kind: 'conv',
    inputs: ['images'],
    output: [22, 22, 32],
    parameters: 32 * 49 + 32,
    kernels: { count: 32, size: '7x7', role: 'first' },
    multiplyAdds: 22 * 22 * 32 * 49,
  });
  const [conv1, conv2, dense] = [32 * 49 + 32, 128 * 32 * 25 + 128, 1152 * 10 + 10];
  expect(totals).toEqual({
    parameters: conv1 + conv2 + dense,
    kernels: 32 + 32 * 128,
    multiplyAdds: 22 * 22 * 32 * 49 + 7 * 7 * 128 * 32 * 25 + 11520,
  });
});

test('a table for people, with the inputs of joins', async () => {
  const { code, out } = await dwp(
    'describe',
    join(EXAMPLES, 'residual.yaml'),
    '--input',
    '32x32x3',
    '--classes',
    '7',
  );
  expect(code).toBe(0);
  expect(out).toContain('residual: images 32×32×3, 7 classes');
  expect(out).toMatch(/add1 +add +first-branch, stem +32×32×16/);
  expect(out).toMatch(/shortcut +conv +first +16×16×32 +512 +512 of 1x1 +pointwise +131072/);
  expect(out).toContain('Pass --prior-path');
});

test('which prior each convolution would get', async () => {
  const prior = join(folder, 'vae-3');
  writeTestPrior(prior, randomVae({ h: 3, w: 3 }));
  const { out } = await dwp(
    ...[
      'describe',
      join(EXAMPLES, 'depthwise.yaml'),
      '--input',
      '16x16x1',
      '--prior-path',
      prior,
      '--format',
      'json',
    ],
  );
  const { layers } = JSON.parse(out);
  const convolutions = layers.filter(({ kernels }: { kernels?: object }) => kernels);
  const sizes = convolutions.map(({ kernels }: { kernels: { size: string } }) => kernels.size);
  expect(sizes).toEqual(['3x3', '3x3', '1x1', '5x5', '1x1']);
  expect(convolutions[0].prior.paths).toEqual([prior]);
  expect(convolutions[1].prior.paths).toEqual([prior]);
  expect(convolutions[3].kernels.role).toBe('depthwise');
  expect(convolutions[3].prior.reason).toMatch(/3x3/); // resampled
});

test('mistakes end in exit code 2 with file and line', async () => {
  const path = join(folder, 'wrong.yaml');
  writeFileSync(path, 'layers:\n  - relu\n  - {kind: dense, name: last, units: classes}\n');
  const { code, err } = await dwp('describe', path, '--input', '8x8x1');
  expect(code).toBe(2);
  expect(err).toContain(`layer last, line 3 of ${path} (dense): it needs a vector`);
  expect(await dwp('describe', 'lenet', '--input', '8x8')).toMatchObject({ code: 2 });
  expect(await dwp('describe', 'lenet', '--input', '8x8x1')).toMatchObject({ code: 2 });
  expect(await dwp('describe', join(folder, 'gone.yaml'))).toMatchObject({ code: 3 });
});

test('a run keeps its network when the file is gone', async () => {
  const path = join(folder, 'network.yaml');
  const [run, again] = [join(folder, 'run'), join(folder, 'again')];
  copyFileSync(join(EXAMPLES, 'small-colour.yaml'), path);
  const options = ['--width', '0.25', '--examples', '10', '--validation', '20', '--prior', 'standard-normal'];
  const short = [
    '--components',
    '1',
    '--steps',
    '2',
    '--batch',
    '5',
    '--samples',
    '1',
    '--threads',
    '1',
    '--format',
    'json',
  ];
  const first = await dwp('train', '--arch', path, ...options, ...short, '--out', run);
  expect(first.code).toBe(0);
  rmSync(path);
  expect(await dwp('evaluate', run, '--samples', '1')).toMatchObject({ code: 0 });
  expect(await dwp('export', run, '--onnx', join(folder, 'run.onnx'))).toMatchObject({ code: 0 });
  const second = await dwp('train', '--config', join(run, 'config.yaml'), '--out', again, '--format', 'json');
  expect(JSON.parse(second.out).test).toEqual(JSON.parse(first.out).test);
});
