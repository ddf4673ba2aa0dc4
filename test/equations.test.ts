// Numbers of equations: each is defined once in docs/, and what comments and documents cite is there.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const filesBelow = (folder: string, ending: RegExp) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(join(ROOT, folder, name), 'utf8') }));

const documents = filesBelow('docs', /\.md$/);
const sources = [...filesBelow('src', /\.m?ts$/), ...filesBelow('test', /\.ts$/)];

interface Place {
  number: number;
  at: string;
}

/** Formulas in fences whose line ends with two spaces or more and a number. */
const definitions = ({ name, text }: { name: string; text: string }): Place[] =>
  text
    .split(/^```.*$/m)
    .flatMap((part, i) => (i % 2 === 1 ? part.split('\n') : []))
    .flatMap((line) => {
      const [, number] = /\s{2,}\((\d{1,3})\)\s*$/.exec(line) ?? [];
      return number ? [{ number: Number(number), at: `${name}: ${line.trim()}` }] : [];
    });

/** (n), and the n of (n, …) before a comma and a letter, that follow no name of a function. */
const numbersIn = (text: string): number[] =>
  [...text.matchAll(/(?<![\w)\]}])\((\d{1,3})(?:\)|, [A-Z])/g)].map(([, number]) => Number(number));

const commentsOf = (text: string): string[] =>
  [...text.matchAll(/\/\*[\s\S]*?\*\/|(?<=^|[\s;{}(,])\/\/.*$/gm)].map(([comment]) => comment);

const citations = ({ name, text }: { name: string; text: string }): Place[] =>
  commentsOf(text).flatMap((comment) =>
    numbersIn(comment).map((number) => ({ number, at: `${name}: ${comment.slice(0, 200)}` })),
  );

/** Prose outside of fences, without code and the marks of tables' columns of figures. */
const prose = (text: string): string =>
  text
    .split(/^```.*$/m)
    .filter((_, i) => i % 2 === 0)
    .join('\n')
    .replace(/`[^`]*`/g, '');

const defined = documents.flatMap(definitions);
const numbers = new Set(defined.map(({ number }) => number));

test('no number has two equations', () => {
  const twice = defined.filter(
    ({ number }, i) => defined.findIndex((other) => other.number === number) !== i,
  );
  expect(twice).toEqual([]);
});

test('the five bounds, and more, are found', () => {
  for (let n = 1; n <= 26; n++) expect(numbers, `(${n})`).toContain(n);
});

test('what comments cite exists', () => {
  const cited = sources.flatMap(citations);
  expect(cited.length).toBeGreaterThan(30);
  expect(cited.filter(({ number }) => !numbers.has(number))).toEqual([]);
});

test('what documents cite exists', () => {
  const cited = documents
    .filter(({ name }) => /math|quality/.test(name))
    .flatMap(({ name, text }) => numbersIn(prose(text)).map((number) => ({ number, at: name })));
  expect(cited.filter(({ number }) => !numbers.has(number))).toEqual([]);
});

test('code or a test says which equation it computes', () => {
  const cited = new Set(sources.flatMap(citations).map(({ number }) => number));
  expect(defined.filter(({ number }) => !cited.has(number)).map(({ at }) => at)).toEqual([]);
});

test('comments are told from code', () => {
  const text = 'f(3); // as (1)\n/** (2), (4, K = 2)\n * g(5) */ const x = [1](6);\nh(x, // (7)\n';
  expect(citations({ name: 'x', text }).map(({ number }) => number)).toEqual([1, 2, 4, 7]);
});
