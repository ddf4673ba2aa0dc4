// Kernels whose density is known, as many as wanted: draws of a mixture of normals with full covariances. Prints the mean
// log-density of the first 10,000 under it, in nats per kernel: what no prior can be above, but for chance.
//
//   npm run build && node scripts/write-kernels.mjs 50000 3 3 kernels.npy
import { foldIn, RandomStream, seedKey } from '../dist/engine/index.js';
import { writeNpy } from '../dist/formats/npy.js';

const [n, h, w] = process.argv.slice(2, 5).map(Number);
const out = process.argv[5];
const d = h * w;
const COMPONENTS = 12;
const SCALE = 0.05;

const source = new RandomStream(foldIn(seedKey(0), 'mixture'));
/** Means, and lower triangular roots of the covariances, row by row. */
const components = Array.from({ length: COMPONENTS }, () => {
  const level = source.normal();
  const mean = Float64Array.from({ length: d }, () => SCALE * (level + 0.5 * source.normal()));
  const root = Float64Array.from({ length: d * d }, (_, at) => {
    const [j, k] = [Math.floor(at / d), at % d];
    if (k > j) return 0;
    return SCALE * (k < j ? source.normal() / Math.sqrt(d) : 0.2 + 0.5 * Math.abs(source.normal()));
  });
  return { mean, root };
});

function logDensity(kernel) {
  const noise = new Float64Array(d);
  const logs = components.map(({ mean, root }) => {
    let log = -0.5 * d * Math.log(2 * Math.PI);
    for (let j = 0; j < d; j++) {
      let y = kernel[j] - mean[j];
      for (let k = 0; k < j; k++) y -= root[j * d + k] * noise[k];
      noise[j] = y / root[j * d + j];
      log -= 0.5 * noise[j] ** 2 + Math.log(root[j * d + j]);
    }
    return log;
  });
  const largest = Math.max(...logs);
  return largest + Math.log(logs.reduce((sum, x) => sum + Math.exp(x - largest), 0) / COMPONENTS);
}

const stream = new RandomStream(foldIn(seedKey(0), 'kernels'));
const data = new Float32Array(n * d);
const noise = new Float64Array(d);
for (let i = 0; i < n; i++) {
  const { mean, root } = components[stream.integer(COMPONENTS)];
  for (let j = 0; j < d; j++) {
    noise[j] = stream.normal();
    let x = mean[j];
    for (let k = 0; k <= j; k++) x += root[j * d + k] * noise[k];
    data[i * d + j] = x;
  }
}
writeNpy(out, { shape: [n, h, w], data });
const judged = Math.min(n, 10_000);
let sum = 0;
for (let i = 0; i < judged; i++) sum += logDensity(data.subarray(i * d, (i + 1) * d));
console.log(`${out}: ${n} kernels; their own density, ${(sum / judged).toFixed(2)} nats per kernel`);
