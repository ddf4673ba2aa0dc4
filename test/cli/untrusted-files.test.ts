// Files that are not what a command expects where it reads one: devices, pipes, links in a circle, damaged lines.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dwp } from './run.js';

let folder: string;
const at = (name: string) => join(folder, name);

describe.skipIf(process.platform === 'win32')('exit code 3 at once', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'dwp-untrusted-'));
    symlinkSync('self-link.onnx', at('self-link.onnx'));
    mkdirSync(at('prior'));
    execFileSync('mkfifo', [at('prior/prior.json'), at('pipe')]);
    mkdirSync(at('run'));
    writeFileSync(at('run/config.yaml'), 'arch: lenet\n');
    writeFileSync(at('run/summary.json'), '{}');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each<[string, () => string[], RegExp]>([
    [
      'inspect of a link to itself',
      () => ['inspect', at('self-link.onnx')],
      /self-link.onnx: cannot be read \(ELOOP/,
    ],
    [
      'collect-kernels of a link to itself',
      () => ['collect-kernels', at('self-link.onnx'), '--out', at('k')],
      /self-link.onnx: cannot be read \(ELOOP/,
    ],
    [
      'fit-prior of a link to itself',
      () => ['fit-prior', at('self-link.onnx'), '--size', '3x3', '--out', at('p')],
      /self-link.onnx: cannot be read \(ELOOP/,
    ],
    ['inspect of a pipe', () => ['inspect', at('pipe')], /pipe: not a file/],
    ['fit-prior of a pipe', () => ['fit-prior', at('pipe'), '--out', at('p')], /pipe: not a file/],
    [
      'a pipe as prior.json',
      () => ['sample-prior', at('prior'), '--out', at('samples.npy')],
      /prior.json: not a file/,
    ],
    [
      'a device as configuration',
      () => ['train', '--config', '/dev/zero', '--out', at('t')],
      /\/dev\/zero: not a file/,
    ],
    ['a pipe as plan', () => ['compare', at('pipe'), '--out', at('c')], /pipe: not a file/],
  ])('%s', async (_, args, message) => {
    const { code, err } = await dwp(...args());
    expect(err).toMatch(message);
    expect(err.split('\n')).toHaveLength(1);
    expect(code).toBe(3);
  });
});

test('a line of metrics.jsonl that is no measurement is named', async () => {
  const runs = mkdtempSync(join(tmpdir(), 'dwp-lines-'));
  const run = join(runs, 'run');
  try {
    const options = ['--examples', '20', '--width', '0.05', '--steps', '2', '--components', '1', '-q'];
    expect((await dwp('train', '--prior', 'none', ...options, '--out', run)).code).toBe(0);
    cpSync(run, join(runs, 'whole'), { recursive: true });
    writeFileSync(join(run, 'metrics.jsonl'), 'null\n');
    const damaged = await dwp('report', run, '--out', join(runs, 'report.html'));
    expect(damaged.err).toMatch(/metrics.jsonl: line 1 is not what dwp wrote there/);
    expect(damaged.code).toBe(3);
    // a last line that a crash cut short is none
    writeFileSync(join(runs, 'whole', 'metrics.jsonl'), '{"step":1,"bou');
    expect((await dwp('report', join(runs, 'whole'), '--out', join(runs, 'report.html'))).code).toBe(0);
  } finally {
    rmSync(runs, { recursive: true });
  }
});
