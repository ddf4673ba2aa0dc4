// Writes that fail: exit code 3 with path and reason, before the work where it can be known, and nothing left behind.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  dwp,
  dwpWith,
  entries,
  LONG,
  QUICK,
  scratch,
  shell,
  startDwp,
  until,
  writeKernels,
} from './program.js';

const fitPrior = (kernels: string, out: string) => [
  'fit-prior',
  kernels,
  '--family',
  'gaussian',
  '--out',
  out,
];

test.each([
  ['below a file', (at: string) => `${at}/file/prior`, /a part of the path is a file/],
  ['a name that is too long', (at: string) => `${at}/${'n'.repeat(300)}`, /the name is too long/],
  ['where nothing can be made', () => '/proc/prior', /cannot be written/],
])('a folder %s is refused before the work', async (_, path, reason) => {
  const at = scratch();
  writeFileSync(at('file'), '');
  const kernels = writeKernels(at('kernels.npy'));
  const before = entries(at());
  for (const args of [
    fitPrior(kernels, path(at())),
    ['train', '--prior', 'standard-normal', ...LONG, '--out', path(at())],
    ['fit-images', '--out', path(at())],
    ['compare-priors', kernels, '--out', path(at())],
  ]) {
    const { code, err } = await dwp(...args);
    expect(err).toMatch(reason);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(3);
  }
  expect(entries(at())).toEqual(before);
});

test.each(['ENOSPC', 'EROFS', 'EFBIG', 'EDQUOT', 'EIO'])(
  '%s after the fit: the prior is written elsewhere',
  async (code) => {
    const at = scratch();
    const kernels = writeKernels(at('kernels.npy'));
    const failing = { calls: ['writeSync'], at: 4, code }; // two probes of the folder and its lock come first
    const outcome = await dwpWith(failing, ...fitPrior(kernels, at('prior')));
    expect(outcome.code).toBe(3);
    expect(outcome.err).toContain(at('prior'));
    const elsewhere = /written to (\S+) instead/.exec(outcome.err)?.[1];
    expect(existsSync(`${elsewhere}/prior.json`), outcome.err).toBe(true);
    expect(entries(at())).toEqual(['kernels.npy']);
  },
);

test('a full disk stops a training with a checkpoint to go on from', async () => {
  const at = scratch();
  const failing = { calls: ['writeSync'], at: 20, code: 'ENOSPC', forever: true };
  const { code, err } = await dwpWith(
    failing,
    'train',
    '--prior',
    'standard-normal',
    ...LONG,
    '--out',
    at('run'),
  );
  expect(err).toMatch(/run\/\S+: cannot be written \(no space is left on the device\).*--resume/);
  expect(code).toBe(3);
  expect(entries(at('run')).filter((name) => name.startsWith('.'))).toEqual([]);
  const resumed = startDwp(['train', '--resume', at('run')]);
  const before = readFileSync(at('run', 'checkpoint.safetensors'));
  await until(() => !readFileSync(at('run', 'checkpoint.safetensors')).equals(before));
  resumed.kill('SIGTERM');
  expect((await resumed.ended).code).toBe(130);
});

test('a limit of the size of files', async () => {
  const at = scratch();
  await dwp(...fitPrior(writeKernels(at('kernels.npy')), at('prior')));
  const { out, err } = await shell(
    `ulimit -f 8; dwp sample-prior ${at('prior')} -n 10000 --out ${at('samples.npy')}; echo $?`,
  );
  expect(err).toMatch(/samples\.npy: cannot be written \(the file is larger than allowed\)/);
  expect(out).toBe('3');
  expect(entries(at())).toEqual(['kernels.npy', 'prior']);
});

test.skipIf(!existsSync('/dev/full'))('a full device as standard output or error', async () => {
  const stdout = await shell('dwp doctor > /dev/full; echo $?; dwp --help > /dev/full; echo $?');
  expect(stdout.out).toBe('3\n3');
  expect(stdout.err.split('\n')).toHaveLength(2);
  expect(stdout.err).toMatch(/^error: standard output: cannot be written \(no space is left on the device\)/);
  const at = scratch();
  const train = `dwp train --prior standard-normal ${QUICK.join(' ')} --out`;
  const { out } = await shell(
    `${train} ${at('a')} -v 2> /dev/full >/dev/null; echo $?; ${train} ${at('b')} -v 2>&- >/dev/null; echo $?`,
  );
  expect(out).toBe('0\n0');
});

test('an empty path is a usage error, and writes nothing', async () => {
  const at = scratch();
  const kernels = writeKernels(at('kernels.npy'));
  const before = entries('.');
  for (const args of [
    fitPrior(kernels, ''),
    ['train', '--prior', 'standard-normal', ...QUICK, '--out', ''],
    ['train', '--resume', ''],
    ['collect-kernels', kernels, '--out='],
    ['inspect', ''],
  ]) {
    const { code, err } = await dwp(...args);
    expect(err).toMatch(/is empty/);
    expect(code).toBe(2);
  }
  expect(entries('.')).toEqual(before);
});
