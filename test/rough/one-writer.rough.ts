// Two processes that want the same folder, and changes of what a run was made with.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { dwp, entries, LONG, QUICK, scratch, startDwp, until, writeKernels } from './program.js';

const GONE = 4_194_301;
const lock = (pid: number, host = hostname()) =>
  JSON.stringify({ pid, host, since: '2026-01-01T00:00:00.000Z' });
/** Of a file that may just be replaced. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
const BUSY = /is being written by another process \(\d+ on /;

test('one of two trainings, and one of two that go on', async () => {
  const at = scratch();
  const start = (prior: string) => ['train', '--prior', prior, ...LONG, '--out', at('run')];
  const both = [startDwp(start('standard-normal')), startDwp(start('none'))];
  const first = await Promise.race(both.map(async ({ ended }, i) => ({ i, ...(await ended) })));
  expect(first).toMatchObject({ code: 2, err: expect.stringMatching(/being written|exists already/) });
  const winner = both[1 - first.i];
  await until(() => existsSync(at('run', 'config.yaml')));
  expect(readFileSync(at('run', 'config.yaml'), 'utf8')).toContain(
    `prior:\n  name: ${first.i === 0 ? 'none' : 'standard-normal'}\n`,
  );
  expect(await dwp('train', '--resume', at('run'))).toMatchObject({
    code: 2,
    err: expect.stringMatching(BUSY),
  });
  winner.kill('SIGKILL');
  await winner.ended;

  const again = startDwp(['train', '--resume', at('run')]);
  await until(() => existsSync(at('run', '.lock')));
  expect(await dwp('train', '--resume', at('run'))).toMatchObject({
    code: 2,
    err: expect.stringMatching(BUSY),
  });
  again.kill('SIGKILL');
  await again.ended;
  const last = startDwp(['train', '--resume', at('run')]);
  await until(() => textOf(at('run', '.lock')).includes(`"pid":${last.pid},`));
  last.kill('SIGTERM');
  const { code, err } = await last.ended;
  expect(err).toMatch(/run: taken over from process \d+, which ended without finishing/);
  expect(code).toBe(130);
  expect(entries(at())).toEqual(['run']);
  expect(entries(at('run'))).not.toContain('.lock');
});

test('every command that writes a folder for long respects a lock', async () => {
  const at = scratch();
  const kernels = writeKernels(at('kernels.npy'));
  const plan = at('plan.yaml');
  writeFileSync(plan, 'base: { prior: none }\nmethods: [{ label: a }]\nexamples: [10]\nsplits: [0]\n');
  mkdirSync(at('compared'));
  writeFileSync(at('compared', '.lock'), lock(process.pid));
  writeFileSync(at('.out.lock'), lock(process.pid));
  for (const args of [
    ['collect-kernels', 'pretrained', '--out', at('out')],
    ['compare-priors', kernels, '--out', at('out')],
    ['fit-images', '--out', at('out')],
    ['train', '--prior', 'none', ...QUICK, '--out', at('out')],
    ['compare', plan, '--out', at('compared')],
  ]) {
    const { code, err } = await dwp(...args);
    expect(err).toMatch(BUSY);
    expect(code).toBe(2);
  }
  writeFileSync(at('.out.lock'), lock(GONE, 'elsewhere'));
  expect(await dwp('collect-kernels', 'pretrained', '--out', at('out'))).toMatchObject({
    code: 2,
    err: expect.stringContaining(`if that process is gone, remove ${at('.out.lock')}`),
  });
  writeFileSync(at('.out.lock'), lock(GONE));
  expect(await dwp('collect-kernels', 'pretrained', '--size', '7x7', '--out', at('out'))).toMatchObject({
    code: 0,
  });
  expect(entries(at())).toEqual(['compared', 'kernels.npy', 'out', 'plan.yaml']);
});

/** The first is stopped while it holds the folder; the second is refused, and names it. */
test.each(['collect-kernels', 'fit-prior'])('two %s of one folder at once', async (command) => {
  const at = scratch();
  const source = command === 'fit-prior' ? writeKernels(at('kernels.npy')) : 'pretrained';
  const args = [command, source, '--out', at('same')];
  const first = startDwp(args);
  await until(() => textOf(at('.same.lock')).includes(`"pid":${first.pid},`));
  first.kill('SIGSTOP');
  const { code, err } = await dwp(...args);
  expect(err).toContain(`same is being written by another process (${first.pid} on ${hostname()}`);
  expect(code).toBe(2);
  first.kill('SIGCONT');
  expect((await first.ended).code).toBe(0);
  expect(entries(at()).filter((name) => name !== 'kernels.npy')).toEqual(['same']);
});

test.each(['collect-kernels', 'fit-prior'])('%s says when it takes a folder over', async (command) => {
  const at = scratch();
  const source = command === 'fit-prior' ? writeKernels(at('kernels.npy')) : 'pretrained';
  writeFileSync(at('.same.lock'), lock(GONE));
  const family = command === 'fit-prior' ? ['--family', 'gaussian'] : ['--size', '7x7'];
  const { code, err } = await dwp(command, source, ...family, '--out', at('same'));
  expect(err).toContain(`same: taken over from process ${GONE}, which ended without finishing`);
  expect(code).toBe(0);
});

test('a run knows the priors and the configuration that it was made with', async () => {
  const at = scratch();
  const kernels = writeKernels(at('kernels.npy'));
  for (const [name, std] of [
    ['prior', '1'],
    ['other', '2'],
  ])
    await dwp('fit-prior', kernels, '--family', 'normal', '--std', std, '--out', at(name));
  const prior = ['--prior', 'dwp', '--prior-path', at('prior')];
  const run = startDwp(['train', ...prior, '--fallback', 'normal', ...LONG, '--out', at('run')]);
  await until(() => existsSync(at('run')));
  run.kill('SIGKILL');
  await run.ended;
  copyFileSync(at('run', 'priors.json'), at('priors.json'));
  rmSync(at('run', 'priors.json'));
  expect(await dwp('train', '--resume', at('run'))).toMatchObject({
    code: 3,
    err: expect.stringMatching(/priors\.json is missing/),
  });
  copyFileSync(at('priors.json'), at('run', 'priors.json'));
  copyFileSync(at('other', 'weights.safetensors'), at('prior', 'weights.safetensors'));
  expect(await dwp('train', '--resume', at('run'))).toMatchObject({
    code: 3,
    err: expect.stringMatching(/a prior or model of this run has changed/),
  });

  expect(await dwp('train', '--prior', 'standard-normal', ...QUICK, '--out', at('done'))).toMatchObject({
    code: 0,
  });
  const config = at('done', 'config.yaml');
  const text = readFileSync(config, 'utf8');
  const commands = [
    ['evaluate', at('done')],
    ['bounds', at('done'), '--samples', '2'],
    ['export', at('done'), '--onnx', at('done.onnx')],
    ['report', at('done'), '--out', at('report.html')],
  ];
  writeFileSync(config, text.replace('split: 0', 'split: 1'));
  for (const args of commands)
    expect(await dwp(...args)).toMatchObject({
      code: 3,
      err: expect.stringMatching(/config\.yaml was changed after the run had begun/),
    });
  // what does not decide the result, and summaries of earlier versions
  writeFileSync(config, `# mine\n${text.replace('threads: 1', 'threads: 2')}`);
  expect(await dwp('evaluate', at('done'))).toMatchObject({ code: 0 });
  const summary = JSON.parse(readFileSync(at('done', 'summary.json'), 'utf8'));
  expect(summary.configuration).toMatch(/^[0-9a-f]{64}$/);
  for (const name of ['summary.json', 'environment.json']) {
    const { configuration: _, ...others } = JSON.parse(readFileSync(at('done', name), 'utf8'));
    writeFileSync(at('done', name), JSON.stringify(others));
  }
  writeFileSync(config, text.replace('split: 0', 'split: 1'));
  expect(await dwp('evaluate', at('done'))).toMatchObject({ code: 0 });
});
