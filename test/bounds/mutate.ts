// A plugin of the tests' bundler: `import('….ts?mutant=3')` is the module, and all of src/ that it imports, with
// mutation 3 (mutations.ts) made in the source. The engine stays as it is, so that both work on the same tensors.
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vitest/config';
import { mutations } from './mutations.js';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));
const MUTANT = /\?mutant=(\d+)$/;
/** Rooms that are loaded anew for every mutant. */
const ROOMS = /^(bounds|distributions|evaluate|mcmc|posteriors|priors|train)\//;

/** @throws Error unless `from` stands in the text exactly once */
export function mutated(
  text: string,
  { file, from, to }: Pick<(typeof mutations)[number], 'file' | 'from' | 'to'>,
) {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${from}`);
  return parts.join(to);
}

export const mutate = (): Plugin => ({
  name: 'mutate',
  enforce: 'pre',
  async resolveId(source, importer) {
    const mutant = importer && MUTANT.exec(importer);
    if (!mutant || !source.startsWith('.')) return null;
    const found = await this.resolve(source, importer.replace(MUTANT, ''), { skipSelf: true });
    return found && ROOMS.test(relative(SRC, found.id)) ? `${found.id}${mutant[0]}` : found;
  },
  transform(text, id) {
    const mutant = MUTANT.exec(id);
    if (!mutant) return null;
    const mutation = mutations[Number(mutant[1])];
    const file = relative(SRC, id.replace(MUTANT, ''));
    return file === mutation.file ? { code: mutated(text, mutation), map: null } : null;
  },
});
