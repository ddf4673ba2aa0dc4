// The rules of the rooms of src/: who may import whom, and what the mathematical rooms may not touch.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** From the top to the bottom. A room may import from itself and from the rows below. */
const ROWS: readonly (readonly string[])[] = [
  ['cli'],
  ['report'],
  ['plans', 'interchange'],
  ['runs'],
  ['methods'],
  ['problems'],
  ['prior-folders'],
  ['toy'],
  ['train'],
  ['evaluate'],
  ['estimators'],
  ['bounds'],
  ['priors', 'posteriors'],
  ['network'],
  ['mcmc'],
  ['distributions'],
  ['kernels'],
  ['importers'],
  ['data', 'sources'],
  ['engine'],
  ['formats'],
  ['errors'],
];
const MATHEMATICAL = ['distributions', 'network', 'mcmc', 'priors', 'posteriors', 'bounds', 'estimators'];

const rowOf = (room: string) => ROWS.findIndex((row) => row.includes(room));
/** `cli/main.ts` → `cli`, `errors.ts` → `errors`; the library's `index.ts` stands above all rooms. */
const roomOf = (file: string) => file.split('/')[0].replace(/\.(ts|mjs)$/, '');

interface Source {
  /** Relative to src/, with forward slashes. */
  file: string;
  text: string;
}

const sources: Source[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => /\.(ts|mjs)$/.test(file) && file !== 'index.ts')
  .map((file) => ({ file, text: readFileSync(join(SRC, file), 'utf8') }));

/** Module names of static imports, re-exports, `import()` and `new URL('./x', import.meta.url)`. */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  return [
    ...code.matchAll(/^\s*(?:import|export)\s[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm),
    ...code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm),
    ...code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g),
    ...code.matchAll(/\bnew URL\(\s*['"](\.[^'"]+)['"]\s*,\s*import\.meta\.url/g),
  ].map(([, name]) => name);
}

const withoutComments = (text: string) =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{}(,])\/\/.*$/gm, '$1');

/** What is wrong with a file, one line per offence. */
function offences({ file, text }: Source): string[] {
  const room = roomOf(file);
  const row = rowOf(room);
  if (row < 0) return [`${file}: ${room} is no room of the list`];
  const found: string[] = [];
  for (const name of importsOf(text)) {
    if (name.startsWith('.')) {
      const target = posix.normalize(posix.join(dirname(file), name));
      if (target.startsWith('..')) continue; // package.json, build/
      const to = roomOf(target.replace(/\.js$/, '.ts'));
      if (to !== room && rowOf(to) <= row) found.push(`${file}: imports ${name}: ${room} is not above ${to}`);
    } else {
      if (room !== 'engine' && /^(onnxruntime-|@tensorflow\/|#tfjs|#onnxruntime)/.test(name))
        found.push(`${file}: imports ${name}: only the engine does`);
      if (MATHEMATICAL.includes(room) && /^(node:|fs$|path$|os$)/.test(name))
        found.push(`${file}: imports ${name}: ${room} is pure`);
    }
  }
  if (MATHEMATICAL.includes(room))
    for (const [word] of withoutComments(text).matchAll(
      /\bMath\.random\b|\b(?:new Date|Date\.|performance\.|console\.|process\.|crypto\.|setTimeout|globalThis)/g,
    ))
      found.push(`${file}: uses ${word}: ${room} is pure`);
  if (room !== 'cli' && /\bconsole\.|\bprocess\.(?:stdout|stderr|argv|exit)\b/.test(withoutComments(text)))
    found.push(`${file}: prints, exits or reads argv: only cli/ does`);
  return found;
}

test('every room of the list is there, and src/ has no other', () => {
  const rooms = [...new Set(sources.map(({ file }) => roomOf(file)))].sort();
  expect(rooms).toEqual(ROWS.flat().sort());
});

test('imports go downwards, only the engine knows its backends, the mathematical rooms are pure', () => {
  expect(sources.length).toBeGreaterThan(50);
  expect(sources.flatMap(offences)).toEqual([]);
});

/** Files of src/ that a file imports, types included; those that it loads when it needs them are left out. */
const importedFiles = ({ file, text }: Source): string[] =>
  [...withoutComments(text).matchAll(/^\s*(?:import|export)\s[^;'"]*?\bfrom\s*['"](\.[^'"]+)['"]/gm)].map(
    ([, name]) => posix.normalize(posix.join(dirname(file), name)).replace(/\.js$/, '.ts'),
  );

/** The first circle of imports, as a path that ends where it starts. */
function importCircle(all: readonly Source[]): string[] | undefined {
  const imports = new Map(all.map((source) => [source.file, importedFiles(source)]));
  const done = new Set<string>();
  const search = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of imports.get(file) ?? []) {
      const circle = search(next, [...path, file]);
      if (circle) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const { file } of all) {
    const circle = search(file, []);
    if (circle) return circle;
  }
  return undefined;
}

test('no file imports itself by way of others', () => {
  expect(importCircle(sources)).toBeUndefined();
  const text = (name: string) => `import type { A } from './${name}.js';`;
  const three = ['b', 'c', 'a'].map((name, i) => ({ file: `priors/${'abc'[i]}.ts`, text: text(name) }));
  expect(importCircle(three)).toEqual(['priors/a.ts', 'priors/b.ts', 'priors/c.ts', 'priors/a.ts']);
  expect(importCircle(three.slice(1))).toBeUndefined();
});

describe('the rules see an offence', () => {
  test.each<[string, string, string, RegExp]>([
    [
      'upward import',
      'priors/x.ts',
      "import { a } from '../bounds/hierarchical.js';",
      /priors is not above bounds/,
    ],
    [
      'upward import over several lines',
      'network/x.ts',
      "import {\n  a,\n  b,\n} from '../train/adam.js';",
      /network is not above train/,
    ],
    [
      'between rooms of one row',
      'priors/x.ts',
      "export * from '../posteriors/index.js';",
      /not above posteriors/,
    ],
    ['type import', 'data/x.ts', "import type { Kernels } from '../kernels/index.js';", /not above kernels/],
    ['dynamic import', 'formats/x.ts', "await import('../engine/index.js');", /not above engine/],
    ['errors importing anything', 'errors.ts', "import { a } from './formats/npy.js';", /not above formats/],
    ['onnxruntime', 'train/x.ts', "const ort = await import('onnxruntime-node');", /only the engine/],
    [
      'the onnxruntime in build/',
      'network/x.ts',
      "import type * as Ort from '#onnxruntime';",
      /only the engine/,
    ],
    ['tfjs', 'network/x.ts', "import * as tf from '@tensorflow/tfjs-core';", /only the engine/],
    ['tfjs bundle', 'network/x.ts', "import * as tf from '#tfjs';", /only the engine/],
    ['files', 'bounds/x.ts', "import { readFileSync } from 'node:fs';", /bounds is pure/],
    ['global randomness', 'distributions/x.ts', 'const x = Math.random();', /uses Math\.random/],
    ['estimators', 'estimators/x.ts', 'const x = Math.random();', /estimators is pure/],
    ['clock', 'posteriors/x.ts', 'const t = Date.now();', /uses Date\./],
    ['console', 'priors/x.ts', "console.log('x');", /uses console\./],
    ['printing', 'train/x.ts', "process.stderr.write('x');", /only cli/],
    ['unknown room', 'helpers/x.ts', '', /no room/],
  ])('%s', (_, file, text, message) => {
    expect(offences({ file, text }).join('\n')).toMatch(message);
  });

  test('comments and downward imports are no offence', () => {
    const text =
      "// Math.random, see '../train/x.js'\nimport { tf } from '../engine/index.js';\n/* console.log */";
    expect(offences({ file: 'priors/x.ts', text })).toEqual([]);
  });
});
