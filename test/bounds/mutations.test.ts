// A proof is worth something if it can fail: each deliberate error in an estimator makes those fail that are said to see
// it (docs/math.md, section 7). DWP_EVERY_PROOF=1 tries all proofs on all errors, and prints which fail.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { createEngine, type Engine } from '../../src/engine/index.js';
import { mutated } from './mutate.js';
import { type Mutation, mutations } from './mutations.js';
import { proofs } from './proofs/index.js';
import { subject } from './proofs/proof.js';

const EVERY = process.env.DWP_EVERY_PROOF === '1';
const source = (file: string) => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8');

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const numbered = mutations.map((mutation, number) => ({ ...mutation, number }));
const title = ({ equation, what, seenBy }: Mutation) => `(${equation}) ${what}: seen by ${seenBy.join(', ')}`;

for (const mutation of numbered)
  test(title(mutation), async () => {
    const mutant = await subject(`${mutation.number}`);
    const failed: string[] = [];
    for (const { id, check } of proofs.filter(({ id }) => EVERY || mutation.seenBy.includes(id))) {
      const error = await check(mutant, engine).then(
        () => undefined,
        (error: Error) => error,
      );
      // Numbers that are wrong, not a mutant that does not run.
      if (error) expect(error, id).toMatchObject({ name: 'AssertionError' });
      if (error) failed.push(id);
    }
    if (EVERY) console.log(`(${mutation.equation}) ${mutation.what}: ${failed.join(', ')}`);
    expect(failed).toEqual(expect.arrayContaining([...mutation.seenBy]));
  });

test('a mutant that is the original passes: it is the errors that are seen', async () => {
  const { number } = numbered.find(({ file }) => file === 'train/train-network.ts')!;
  const { check } = proofs.find(({ id }) => id === 'L1')!;
  await check(await subject(`${number}`), engine); // the error is elsewhere
});

describe('an error that cannot be made is an error', () => {
  const file = 'bounds/hierarchical.ts';
  test.each(['no such text', 'tf.'])('%s', (from) => {
    expect(() => mutated(source(file), { file, from, to: '' })).toThrow(/hierarchical\.ts has \d+ times/);
  });
});

test('docs/math.md lists proofs and errors', () => {
  const math = readFileSync(new URL('../../docs/math.md', import.meta.url), 'utf8').replace(/ +/g, ' ');
  const rows = [
    ...proofs.map(({ id, name }) => [id, name]),
    ...mutations.map(({ equation, what, seenBy }) => [`(${equation})`, what, seenBy.join(', ')]),
  ].map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  expect(rows.filter((row) => !math.includes(row))).toEqual([]);
});
