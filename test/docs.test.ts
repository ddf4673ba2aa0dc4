// The documents against the project: links and paths lead somewhere, commands and options exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { commands } from '../src/cli/commands/index.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const below = (folder: string) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));

const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'pretrained/README.md', 'kernels-dataset/README.md'],
  ...below('docs').filter((name) => name.endsWith('.md')),
  ...below('src').filter((name) => name.endsWith('README.md')),
].filter((name) => existsSync(join(ROOT, name)));

/** Folders whose names begin a path of the project, and those of them that a build makes. */
const FOLDERS = readdirSync(ROOT, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
const GENERATED = ['dist', 'build', 'node_modules', 'runs'];

interface Line {
  text: string;
  number: number;
  /** In a fenced or indented block: a command line or a formula, not prose. */
  block: boolean;
}

/** Lines of a document; a command continued with a backslash is one line. */
function linesOf(markdown: string): Line[] {
  const lines: Line[] = [];
  let fence = false;
  let blank = true;
  let indented = false;
  let continued = false;
  for (const [i, text] of markdown.split('\n').entries()) {
    if (/^\s*```/.test(text)) {
      fence = !fence;
      continue;
    }
    indented = /^ {4}\S/.test(text) && (blank || indented);
    blank = text.trim() === '';
    const block = fence || indented;
    if (continued) lines.at(-1)!.text += ` ${text.trim()}`;
    else lines.push({ text, number: i + 1, block });
    continued = block && text.endsWith('\\');
    if (continued) lines.at(-1)!.text = lines.at(-1)!.text.slice(0, -1);
  }
  return lines;
}

const spansOf = ({ text, block }: Line): string[] =>
  block ? [text] : [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code);

/** As GitHub makes them from headings. */
const anchorsOf = (markdown: string): string[] =>
  linesOf(markdown)
    .filter(({ text, block }) => !block && /^#{1,6} /.test(text))
    .map(({ text }) =>
      text
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );

/** Links that lead nowhere: to files that do not exist, and to headings that do not. */
function brokenLinks(name: string, markdown: string): string[] {
  return linesOf(markdown).flatMap((line) => {
    if (line.block) return [];
    const prose = line.text.replace(/`[^`]*`/g, '');
    return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target]) => {
      if (/^[a-z]+:/.test(target)) return [];
      const [path, anchor] = target.split('#');
      const file = path === '' ? name : join(dirname(name), path);
      const at = `${name}:${line.number}: ${target}`;
      if (!existsSync(join(ROOT, file))) return [`${at}: no such file`];
      if (anchor === undefined) return [];
      const there = file === name ? markdown : readFileSync(join(ROOT, file), 'utf8');
      return anchorsOf(there).includes(anchor) ? [] : [`${at}: no such heading`];
    });
  });
}

/** Paths of the project in code that do not exist. Names with < > * … { are patterns: only their folder must exist. */
function missingPaths(name: string, markdown: string): string[] {
  return linesOf(markdown).flatMap((line) =>
    spansOf(line).flatMap((code) =>
      code.split(/[\s,;:()'"[\]=]+/).flatMap((word) => {
        const [first] = word.split('/');
        const path = word.replace(/[.…]+$/, '').replace(/[^/]*[<>*{…].*$/, '');
        const inProject = word.includes('/') && FOLDERS.includes(first) && !GENERATED.includes(first);
        // In prose, the name of a source or a document alone is meant to be found as well.
        const alone = !line.block && /^[\w./-]+\.(ts|mjs|mts|md)$/.test(word) && !GENERATED.includes(first);
        if (!inProject && !alone) return [];
        const found = [path, join(dirname(name), path)].some((p) => existsSync(join(ROOT, p)));
        return found ? [] : [`${name}:${line.number}: ${word}: no such file`];
      }),
    ),
  );
}

const flagsOf = (text: string): string[] => text.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [];

/** Options that the command line gives to every command, from where it does so. */
const COMMON = [
  '--help',
  '--help-all',
  '--version',
  ...[
    ...readFileSync(join(ROOT, 'src/cli/main.ts'), 'utf8').matchAll(/(?:new Option|\.option)\(\s*'([^']*)'/g),
  ].flatMap(([, flags]) => flagsOf(flags)),
];
const optionsOf = new Map(
  await Promise.all(
    commands.map(async ({ name, load }): Promise<[string, string[]]> => {
      const { options } = await load();
      return [name, [...COMMON, ...Object.values(options).flatMap(({ flags }) => flagsOf(flags))]];
    }),
  ),
);
const ANY = [...optionsOf.values()].flat();

/** Commands that do not exist, and options that no command of that line has. */
function unknownCommands(name: string, markdown: string): string[] {
  return linesOf(markdown).flatMap((line) => {
    const at = `${name}:${line.number}`;
    const onLine: string[] = [];
    const wrong: string[] = [];
    const loose: string[] = [];
    for (const code of spansOf(line)) {
      // What stands before the first `dwp` is another program's; a # begins a comment.
      const [before, ...calls] = code
        .replace(/\s#\s.*$/, '')
        .split(/(?<![\w/.-])(?:dwp|dist\/cli\/main\.js)(?=\s|$)/);
      if (calls.length === 0 && /^\s*--/.test(before)) loose.push(...flagsOf(before));
      for (const call of calls) {
        const [command] = call.trim().split(/\s+/);
        // dwp --help, dwp <command>, dwp(...), import * as dwp from
        if (!/^[a-z][a-z-]*$/.test(command) || command === 'from') continue;
        const options = optionsOf.get(command);
        if (!options) {
          wrong.push(`${at}: dwp ${command}: no such command`);
          continue;
        }
        onLine.push(command);
        for (const flag of flagsOf(call.split(/\s(?:&&|\||;)\s/)[0]))
          if (!options.includes(flag)) wrong.push(`${at}: dwp ${command} has no ${flag}`);
      }
    }
    const known = onLine.length > 0 ? onLine.flatMap((command) => optionsOf.get(command)!) : ANY;
    const where = onLine.length > 0 ? `of ${onLine.join(', ')}` : 'of any command';
    for (const flag of loose) if (!known.includes(flag)) wrong.push(`${at}: ${flag} is no option ${where}`);
    return wrong;
  });
}

describe.each(documents)('%s', (name) => {
  const markdown = readFileSync(join(ROOT, name), 'utf8');
  test('links lead to files and headings', () => expect(brokenLinks(name, markdown)).toEqual([]));
  test('paths exist', () => expect(missingPaths(name, markdown)).toEqual([]));
  test('commands and options exist', () => expect(unknownCommands(name, markdown)).toEqual([]));
});

test('the documents are there', () => {
  expect(documents.map((name) => relative('docs', join('docs', name)))).toEqual(
    expect.arrayContaining([
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'docs/math.md',
      'docs/architecture.md',
      'docs/gotchas.md',
      'docs/glossary.md',
      'docs/operators.md',
      'docs/quality.md',
      'docs/randomness.md',
      'docs/tensorflow.md',
      'src/engine/README.md',
    ]),
  );
});

describe('what is wrong is seen', () => {
  test.each<[string, (name: string, markdown: string) => string[], string, RegExp]>([
    ['a link to no file', brokenLinks, 'see [this](nowhere.md)', /nowhere\.md: no such file/],
    ['a link to no heading', brokenLinks, '# Here\n\n[there](#there)', /#there: no such heading/],
    ['a path', missingPaths, 'look at `src/bounds/nothing.ts`', /no such file/],
    ['a file by name', missingPaths, 'look at `nothing.ts`', /no such file/],
    ['a pattern in no folder', missingPaths, '`src/nowhere/<name>.ts`', /no such file/],
    ['a path in a block', missingPaths, '```sh\nls examples/none.yaml\n```', /no such file/],
    ['a command', unknownCommands, 'run `dwp guess`', /guess: no such command/],
    [
      'a command in an indented block',
      unknownCommands,
      '\n    npx dwp guess --now',
      /guess: no such command/,
    ],
    ['an option', unknownCommands, '`dwp inspect x --deep`', /dwp inspect has no --deep/],
    [
      'an option after a line break',
      unknownCommands,
      '```sh\ndwp train \\\n  --deep\n```',
      /dwp train has no --deep/,
    ],
    [
      'an option in prose',
      unknownCommands,
      '`dwp inspect` has `--examples`',
      /--examples is no option of inspect/,
    ],
    ['an option of nothing', unknownCommands, 'say `--deep`', /--deep is no option of any command/],
  ])('%s', (_, check, markdown, message) => {
    expect(check('docs/math.md', markdown).join('\n')).toMatch(message);
  });

  test('and what is right is let through', () => {
    const markdown =
      '# A `b`, c\n\n[a](#a-b-c), [web](https://example.org), `src/priors/<family>.ts`, `dist/cli/main.js`\n\n' +
      '`dwp train --prior dwp --format json`, `--temperature`, `npm test -- --run`, `3x3/train.npy`\n\n' +
      '```sh\ndwp train --out a && npm pack --json   # dwp is --fine\n```\n';
    for (const check of [brokenLinks, missingPaths, unknownCommands])
      expect(check('docs/math.md', markdown)).toEqual([]);
  });
});
