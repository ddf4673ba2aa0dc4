// Processes that are killed while they write: a folder is there as a whole or not at all, the same command works again,
// and what was left behind is gone then.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { dwp, dwpWith, entries, LONG, QUICK, scratch, startDwp, until, writeKernels } from './program.js';

/** A process that is not there: the largest number that Linux gives is 2^22. */
const GONE = 4_194_301;
const WRITES = ['mkdirSync', 'writeSync', 'renameSync'];

/** Kills a command at every so many writes until it ends by itself; `check` looks at what is there. */
async function killedEverywhere(args: string[], step: number, check: () => Promise<void>): Promise<number> {
  for (let at = 1; ; at += step) {
    const { signal, code, err } = await dwpWith({ calls: WRITES, at }, ...args);
    if (signal === undefined) {
      expect(code, err).toBe(0);
      return at - 1;
    }
    await check();
  }
}

test('fit-prior, import-prior and mix-priors, killed at any write', async () => {
  const at = scratch();
  const kernels = writeKernels(at('kernels.npy'));
  const out = at('priors', 'prior');
  const nothing = async () => expect(existsSync(out)).toBe(false);
  const fitted = await killedEverywhere(
    ['fit-prior', kernels, '--family', 'gaussian', '--out', out],
    3,
    nothing,
  );
  expect(fitted).toBeGreaterThan(5);
  expect(entries(at('priors'))).toEqual(['prior']);

  const graphs = at('graphs');
  expect(await dwp('export', out, '--onnx', graphs)).toMatchObject({ code: 0 });
  const imported = at('priors', 'imported');
  await killedEverywhere(['import-prior', graphs, '--samples', '2', '--out', imported], 5, async () =>
    expect(existsSync(imported)).toBe(false),
  );
  const mixed = at('priors', 'mixed');
  await killedEverywhere(['mix-priors', out, out, '--out', mixed], 6, async () =>
    expect(existsSync(mixed)).toBe(false),
  );
  expect(entries(at('priors'))).toEqual(['imported', 'mixed', 'prior']);
});

test('train, killed at its first writes: nothing, or a run that goes on', async () => {
  const at = scratch();
  const train = ['train', '--prior', 'standard-normal', ...QUICK, '--out', at('run')];
  for (let write = 2; write < 60; write += 6) {
    const { signal } = await dwpWith({ calls: WRITES, at: write }, ...train);
    expect(signal).toBe('SIGKILL');
    if (!existsSync(at('run'))) continue;
    expect(entries(at('run'))).toContain('checkpoint.safetensors');
    expect(await dwp('train', '--resume', at('run'))).toMatchObject({ code: 0 });
    expect(
      entries(at())
        .concat(entries(at('run')))
        .filter((name) => name.startsWith('.')),
    ).toEqual([]);
    return;
  }
  throw new Error('no kill left a run');
});

test('collect-kernels and subset-kernels, killed while they write', async () => {
  const at = scratch();
  const commands = [
    ['collect-kernels', 'pretrained', '--size', '7x7', '--out', at('kernels')],
    ['subset-kernels', at('kernels'), '--size', '7x7', '--out', at('subset')],
  ];
  for (const args of commands) {
    const out = args.at(-1)!;
    const { signal } = await dwpWith({ calls: ['renameSync'], at: 1 }, ...args);
    expect(signal).toBe('SIGKILL');
    expect(existsSync(out)).toBe(false);
    expect(await dwp(...args)).toMatchObject({ code: 0 });
  }
  expect(entries(at())).toEqual(['kernels', 'subset']);
});

test('left-over files of processes that are gone are removed, those of others stay', async () => {
  const at = scratch();
  const kernels = writeKernels(at('kernels.npy'));
  const host = hostname()
    .replace(/[^\w-]/g, '_')
    .slice(0, 40);
  mkdirSync(at(`.other.${GONE}@${host}.tmp`));
  writeFileSync(at(`.other.${GONE}@${host}.tmp`, 'half'), '');
  mkdirSync(at(`.prior.${GONE}.tmp`)); // as earlier versions called them
  const stay = [
    `.other.${process.pid}@${host}.tmp`,
    `.other.${GONE}@${host}x.tmp`,
    `.theirs.${GONE}.tmp`,
    '.x.tmp',
  ];
  for (const name of stay) writeFileSync(at(name), '');
  expect(await dwp('fit-prior', kernels, '--family', 'gaussian', '--out', at('prior'))).toMatchObject({
    code: 0,
  });
  expect(entries(at())).toEqual([...stay, 'kernels.npy', 'prior'].sort());
});

test('fit-images, killed before its first state, leaves nothing', async () => {
  const at = scratch();
  const args = [
    'fit-images',
    '--epochs',
    '1',
    '--train-images',
    '60',
    '--test-images',
    '4',
    '--samples',
    '2',
  ];
  const { signal } = await dwpWith({ calls: WRITES, at: 2 }, ...args, '--hidden', '4', '--out', at('vae'));
  expect(signal).toBe('SIGKILL');
  expect(existsSync(at('vae'))).toBe(false);
  expect(await dwp(...args, '--hidden', '4', '--out', at('vae'))).toMatchObject({ code: 0 });
  expect(entries(at())).toEqual(['vae']);
  expect(entries(at('vae'))).toEqual(['result.json', 'samples.png', 'weights.safetensors']);
});

test('SIGHUP writes a checkpoint like SIGTERM; two of them are no second Ctrl-C', async () => {
  const at = scratch();
  const run = startDwp([
    'train',
    '--prior',
    'standard-normal',
    ...LONG,
    '--checkpoint-every',
    '1000',
    '--out',
    at('run'),
  ]);
  await until(() => existsSync(at('run', 'checkpoint.safetensors')));
  await new Promise((resolve) => setTimeout(resolve, 2000));
  run.kill('SIGHUP');
  run.kill('SIGHUP');
  const { code, err } = await run.ended;
  expect(code).toBe(130);
  expect(err).toMatch(/checkpoint written.*--resume/);
  expect(entries(at())).toEqual(['run']);
});
