// What goes wrong for a user: the exit code, one line that says what and what to do, and nothing written.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commands } from '../../src/cli/commands/index.js';
import { writeNpy } from '../../src/formats/npy.js';
import { readSafetensors, type Tensors, writeSafetensors } from '../../src/formats/safetensors.js';
import { normal } from '../engine/reference.js';
import { randomVae } from '../train/tiny.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

/** A copy of a folder with its tensors changed. */
function damaged(from: string, to: string, file: string, change: (tensors: Tensors) => void, step?: string) {
  cpSync(at(from), at(to), { recursive: true });
  const { tensors, metadata } = readSafetensors(at(to, file));
  change(tensors);
  writeSafetensors(at(to, file), tensors, step === undefined ? metadata : { step });
}

const TINY = [
  '--examples',
  '20',
  '--channels',
  '2',
  '3',
  '--components',
  '1',
  '--steps',
  '4',
  '--samples',
  '1',
];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-errors-'));
  for (const k of [7, 5]) writeTestPrior(at(`vae-${k}`), randomVae({ h: k, w: k }));
  const weights = 'weights.safetensors';
  damaged('vae-7', 'vae-nan', weights, (t) => {
    t['decoder.0.kernel'].data[3] = Number.NaN;
  });
  damaged('vae-7', 'vae-shape', weights, (t) => {
    t['encoder.0.bias'] = { shape: [2], data: new Float32Array(2) };
  });
  damaged('vae-7', 'vae-scale', weights, (t) => {
    t.scale.data[0] = 0;
  });
  damaged('vae-7', 'vae-tiny', weights, (t) => {
    t.scale.data[0] = 1e-30; // squares of kernels in its units are beyond float32
  });
  cpSync(at('vae-7'), at('vae-cut'), { recursive: true });
  writeFileSync(at('vae-cut', weights), readFileSync(at('vae-7', weights)).subarray(0, 700));
  cpSync(at('vae-7'), at('vae-family'), { recursive: true });
  const description = JSON.parse(readFileSync(at('vae-7', 'prior.json'), 'utf8'));
  writeFileSync(at('vae-family', 'prior.json'), JSON.stringify({ ...description, family: 'constructor' }));

  const kernels = normal(200, 40, 3, 3).data as Float32Array<ArrayBuffer>;
  writeNpy(at('good.npy'), { shape: [40, 3, 3], data: kernels });
  const bad = kernels.slice();
  bad[9 * 7 + 4] = Number.NaN;
  writeNpy(at('nan.npy'), { shape: [40, 3, 3], data: bad });
  writeNpy(at('flat.npy'), { shape: [360], data: kernels });
  writeNpy(at('few.npy'), { shape: [3, 3, 3], data: kernels.subarray(0, 27) });
  writeFileSync(at('cut.npy'), readFileSync(at('good.npy')).subarray(0, 500));

  writeFileSync(at('unknown-key.yaml'), 'prior: none\nlearningrate: 0.1\n');
  writeFileSync(at('bad-value.yaml'), 'prior: none\nsteps: many\n');
  writeFileSync(at('list.yaml'), '- prior\n');
  writeFileSync(at('broken.yaml'), 'prior: [none\n');

  await dwp('train', ...TINY, '--prior', 'none', '--out', at('run'), '-q');
  cpSync(at('run'), at('open'), { recursive: true });
  rmSync(at('open', 'summary.json'));
  const checkpoint = 'checkpoint.safetensors';
  const nothing = () => {};
  damaged('open', 'halfway', checkpoint, nothing, '2');
  damaged('open', 'open-later', checkpoint, nothing, '5');
  damaged('open', 'open-step', checkpoint, nothing, 'two');
  damaged('open', 'open-nan', checkpoint, (t) => {
    t['parameters/conv1.mean'].data[0] = Number.NaN;
  });
  damaged('open', 'open-other', checkpoint, (t) => {
    for (const part of ['parameters', 'first', 'second'])
      t[`${part}/conv1.bias`] = { shape: [3], data: new Float32Array(3) };
  });
  damaged('open', 'open-moments', checkpoint, (t) => {
    delete t['second/dense.kernel'];
  });
  cpSync(at('open'), at('open-cut'), { recursive: true });
  writeFileSync(at('open-cut', checkpoint), readFileSync(at('open', checkpoint)).subarray(0, 900));
  cpSync(at('open'), at('open-config'), { recursive: true });
  writeFileSync(at('open-config', 'config.yaml'), 'prior: none\nsecret: 1\n');
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const train = (...args: string[]) => ['train', ...TINY, ...args, '--out', at('never')];
const withPrior = (...names: string[]) =>
  train('--prior', 'dwp', '--prior-path', ...names.map((name) => at(name)));
const fitPrior = (...args: string[]) => ['fit-prior', ...args, '--out', at('never')];
const resume = (name: string) => ['train', '--resume', at(name)];

type Case = [name: string, args: () => string[], code: number, message: RegExp];

const cases: Case[] = [
  // Priors
  ['a missing prior folder', () => withPrior('nowhere'), 3, /nowhere\/prior\.json: no such file/],
  [
    'no prior for a layer',
    () => [...withPrior('vae-7'), '--fallback', 'none'],
    2,
    /prior of size 5x5 for layer conv2 .*vae-7 \(7x7\)/,
  ],
  [
    'no prior of the size',
    () => train('--prior', 'dwp', '--prior-path', 'shipped:3x3-inner', '--fallback', 'none'),
    2,
    /prior of size 7x7 .*given: shipped:3x3-inner/,
  ],
  ['no such prior that ships', () => train('--prior-path', 'shipped:9x9'), 2, /no prior shipped:9x9/],
  [
    'a prior with NaN',
    () => withPrior('vae-nan', 'vae-5'),
    3,
    /decoder\.0\.kernel holds values .* not finite/,
  ],
  [
    'a prior of a wrong shape',
    () => withPrior('vae-shape', 'vae-5'),
    3,
    /vae-shape.*encoder\.0\.bias has shape \[2\]/,
  ],
  ['a prior of scale 0', () => withPrior('vae-scale', 'vae-5'), 3, /vae-scale.*scale is 0/],
  ['a truncated prior', () => withPrior('vae-cut', 'vae-5'), 3, /vae-cut.*weights\.safetensors/],
  ['an unknown family', () => withPrior('vae-family', 'vae-5'), 3, /unknown family constructor/],
  [
    'eval-prior: other sizes',
    () => ['eval-prior', at('vae-7'), '--kernels', at('good.npy')],
    3,
    /no kernels of 7x7/,
  ],
  [
    'sample-prior: --out exists',
    () => ['sample-prior', at('vae-7'), '--out', at('good.npy')],
    2,
    /exists already/,
  ],

  // Kernels
  ['fit-prior: no such file', () => fitPrior(at('nowhere.npy')), 3, /nowhere\.npy: no such file/],
  ['fit-prior: NaN', () => fitPrior(at('nan.npy')), 3, /nan\.npy: .*kernel 7 .*NaN/],
  ['fit-prior: a flat array', () => fitPrior(at('flat.npy')), 3, /flat\.npy.*360/],
  ['fit-prior: a truncated file', () => fitPrior(at('cut.npy')), 3, /cut\.npy/],
  ['fit-prior: too few', () => fitPrior(at('few.npy')), 3, /few\.npy: .*too few/],
  [
    'fit-prior: a size that is not there',
    () => fitPrior(at('good.npy'), '--size', '5x5'),
    3,
    /no kernels of 5x5/,
  ],
  [
    'fit-prior: option of another family',
    () => fitPrior(at('good.npy'), '--family', 'gaussian', '--latent', '3'),
    2,
    /--latent is an option of the family vae or vae-pixels, not of gaussian/,
  ],
  [
    'fit-prior: a value that the family does not take',
    () => fitPrior(at('good.npy'), '--family', 'scale-mixture', '--components', '101'),
    2,
    /--components 101 of the family scale-mixture: must be at most 100/,
  ],

  // Options
  [
    'more examples than there are',
    () => train('--prior', 'none', '--examples', '70000'),
    2,
    /70000 .* 60000/,
  ],
  ['an unknown option', () => train('--steeps', '3'), 2, /unknown option '--steeps'.*--steps/],
  ['an unknown prior', () => train('--prior', 'nope'), 2, /--prior "nope"/],
  [
    'a word for a number',
    () => train('--prior', 'none', '--learning-rate', 'fast'),
    2,
    /--learning-rate "fast"/,
  ],
  [
    'a number out of range',
    () => train('--prior', 'none', '--batch', '0'),
    2,
    /--batch "0": must be at least 1/,
  ],
  [
    'channels that do not fit',
    () => train('--prior', 'none', '--channels', '4'),
    2,
    /lenet takes 2 numbers of channels/,
  ],
  [
    'a growing K with one sample',
    () => train('--prior', 'standard-normal', '--bound-samples-from', '2'),
    2,
    /--bound-samples-from cannot be used with --bound hvi/,
  ],
  [
    'a K that grows downwards',
    () =>
      train(
        ...['--prior', 'standard-normal', '--bound', 'multisample', '--bound-samples', '4'],
        ...['--bound-samples-from', '8'],
      ),
    2,
    /--bound-samples-from 8 is more than --bound-samples 4/,
  ],
  [
    'a rate of an encoder that is not trained',
    () => train('--prior', 'standard-normal', '--encoder-learning-rate', '0.01'),
    2,
    /--encoder-learning-rate has no effect: no encoder is trained/,
  ],
  ['unknown data', () => train('--prior', 'none', '--data', 'cats'), 2, /no dataset is called cats/],
  [
    'a data folder without data',
    () => train('--prior', 'none', '--data-dir', at('run')),
    3,
    /train-images|train-labels/,
  ],
  [
    '--bound uivi without a latent',
    () => train('--prior', 'standard-normal', '--bound', 'uivi'),
    2,
    /--bound uivi cannot be used with --posterior mean-field.*semi-implicit/,
  ],
  ['--init filters without filters', () => train('--prior', 'none', '--init', 'filters'), 2, /--filters/],
  ['no --out', () => ['train', '--prior', 'none'], 2, /--out is required/],
  [
    '--out that exists',
    () => ['train', ...TINY, '--prior', 'none', '--out', at('run')],
    2,
    /run exists already/,
  ],
  [
    '--out that is an unfinished run',
    () => ['train', '--prior', 'none', '--out', at('open')],
    2,
    /--resume .*open/,
  ],
  ['an argument too many', () => train('more'), 2, /too many arguments/],
  ['an unknown command', () => ['trian'], 2, /unknown command 'trian'.*train.*dwp --help/],

  // Configuration files
  ['a missing configuration', () => train('--config', at('no.yaml')), 3, /no\.yaml: no such file/],
  [
    'an unknown key',
    () => train('--config', at('unknown-key.yaml')),
    2,
    /unknown option "learningrate".*learningRate/,
  ],
  [
    'a bad value',
    () => ['train', '--config', at('bad-value.yaml'), '--out', at('never')],
    2,
    /--steps "many"/,
  ],
  ['a list of options', () => train('--config', at('list.yaml')), 2, /expected a mapping/],
  ['not YAML', () => train('--config', at('broken.yaml')), 2, /not valid YAML/],

  // Run folders
  ['resume: no such run', () => resume('nowhere'), 3, /nowhere is not a run folder/],
  ['resume: finished', () => resume('run'), 2, /run is finished/],
  [
    'resume: a changed configuration',
    () => resume('open-config'),
    3,
    /config\.yaml was changed after the run had begun/,
  ],
  ['resume: a truncated checkpoint', () => resume('open-cut'), 3, /checkpoint\.safetensors/],
  ['resume: NaN', () => resume('open-nan'), 3, /parameters\/conv1\.mean holds values .* not finite/],
  [
    'resume: of another network',
    () => resume('open-other'),
    3,
    /conv1\.bias has shape \[3\], the network's is \[2\]/,
  ],
  ['resume: moments missing', () => resume('open-moments'), 3, /moments of dense\.kernel/],
  ['resume: a step beyond the last', () => resume('open-later'), 3, /step 5, but the run has only 4/],
  ['resume: a step that is no number', () => resume('open-step'), 3, /step is two/],
  ['evaluate: no run', () => ['evaluate', at('vae-7')], 3, /not a run folder/],
  ['evaluate: not finished', () => ['evaluate', at('halfway')], 2, /stopped at step 2 of 4.*--resume/],
];

/** Every file below the folder with its content: what a command may not change. */
const everything = () =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => [name, statSync(at(name)).isFile() && readFileSync(at(name)).toString('base64')]);

describe('bad input: one line, the exit code, nothing written', () => {
  test.each(cases)('%s', async (_, args, code, message) => {
    const before = everything();
    const { code: exitCode, out, err } = await dwp(...args());
    expect(err).toMatch(message);
    expect(err.split('\n')).toHaveLength(1);
    expect(err).toMatch(/^error: .+ — .+/); // what, and what to do
    expect(exitCode).toBe(code);
    expect(out).toBe('');
    expect(everything()).toEqual(before);
  });

  test('a bound that is not finite: exit code 4', async () => {
    const { code, out, err } = await dwp(...withPrior('vae-tiny', 'vae-5'));
    expect(err).toMatch(
      /^error: step 1: NaN in the result terms\.priorTerm: Exp gave Infinity in .* — .*--learning-rate/m,
    );
    expect({ code, out }).toEqual({ code: 4, out: '' });
  });
});

describe('help', () => {
  test('dwp --help lists every command, on stdout', async () => {
    const { code, out, err } = await dwp('--help');
    expect(code).toBe(0);
    expect(err).toBe('');
    for (const { name } of commands) expect(out).toMatch(new RegExp(`^  ${name} `, 'm'));
    expect(out).toContain('dwp <command> --help');
  });

  test('choices and defaults stand in brackets; a description that explains every choice is not followed by a list', async () => {
    const shown = async (name: string) => (await dwp(name, '--help')).out.replace(/\s+/g, ' ');
    expect(await shown('train')).toContain('or none, with --method point (default: dwp)');
    expect(await shown('train')).toContain('semi-implicit-layer, mnf; default: mean-field)');
    expect(await shown('split-kernels')).toContain('or kernel (at random) (default: model)');
    expect(await shown('subset-kernels')).toContain('layers to keep (choices: transposed,'); // items of a list
  });

  test('dwp alone is not silent', async () => {
    const { code, out, err } = await dwp();
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('Usage: dwp');
  });

  test('dwp train --help fits on two screens of 50 lines, and --help-all has the rare options', async () => {
    const { out } = await dwp('train', '--help');
    expect(out.split('\n').length).toBeLessThanOrEqual(100);
    expect(out).not.toContain('--leapfrog');
    expect(out).toContain('--help-all');
    expect(out.indexOf('Data:')).toBeLessThan(out.indexOf('Network:'));
    expect((await dwp('train', '--help-all')).out).toContain('--leapfrog');
  });

  test.each(commands.map(({ name }) => name))(
    'dwp %s --help-all shows examples and every option',
    async (name) => {
      const { code, out, err } = await dwp(name, '--help-all');
      expect(code).toBe(0);
      expect(err).toBe('');
      expect(out).toMatch(new RegExp(`\\nExamples:\\n  \\$ dwp ${name}\\b`));
      const { options } = await commands.find((command) => command.name === name)!.load();
      for (const { flags } of Object.values(options)) expect(out).toContain(flags);
      expect(out).toContain('--format <format>');
    },
  );

  test('--version is that of package.json', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await dwp('--version')).toEqual({ code: 0, out: version, err: '' });
  });
});
