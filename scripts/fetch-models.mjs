// Published packages for `npm run test:models` and scripts: those of pretrained/published.yaml, by the built program's
// `dwp sources fetch`, into a cache below the temporary folder.
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const CACHE = join(tmpdir(), 'deep-weight-prior-models');
const fetched = new Set();

/**
 * @param {string} name of the catalogue
 * @returns {string} the folder of its files, which have the paths that they have in the package
 */
export function fetchPackage(name) {
  if (!fetched.has(name))
    execFileSync(process.execPath, [MAIN, 'sources', 'fetch', name, '--dir', CACHE], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  fetched.add(name);
  return join(CACHE, name);
}
