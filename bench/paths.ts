// Where things lie, seen from the compiled benchmarks in bench/.out/bench/.
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const KERNELS = `${ROOT}kernels-dataset`;
export const PEERS = `${ROOT}bench/peers`;
