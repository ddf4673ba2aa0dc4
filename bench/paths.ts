// Where things lie. Benchmarks run compiled, from bench/.out/bench/, and their tests from bench/.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

function rootAbove(url: URL): string {
  return existsSync(new URL('package.json', url)) ? fileURLToPath(url) : rootAbove(new URL('../', url));
}

export const ROOT = rootAbove(new URL('./', import.meta.url));
export const KERNELS = `${ROOT}kernels-dataset`;
export const PEERS = `${ROOT}bench/peers`;
