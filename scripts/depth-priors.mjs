// Does a prior that depends on the depth of a layer describe networks that it has not seen better than one for all layers? Every
// source is held out once; nats per kernel of 3×3 weights, mean over sources ± standard error, and differences to one prior.
//
//   npm run build && dwp sources fetch && dwp sources collect --out published-kernels
//   node scripts/depth-priors.mjs published-kernels scale-mixture mixture
import { createEngine, foldIn, seedKey } from '../dist/engine/index.js';
import { mean, standardError } from '../dist/evaluate/index.js';
import { concatKernels, readNetworks, takeKernels } from '../dist/kernels/index.js';
import { heldOutDensity } from '../dist/prior-folders/fit-and-judge.js';
import { families } from '../dist/priors/index.js';
import { fitPrior } from '../dist/train/fit-prior.js';

const NAMES = ['mobilenet-v2', 'efficientnet-lite0', 'open-nsfw', 'hed', 'mlsd', 'esrgan-thick', 'human'];
NAMES.push('face-api', 'facenet', 'ocr', 'dddd-ocr', 'waifu2x', 'ina-speech-segmenter');
const [dataset, ...asked] = process.argv.slice(2);
if (!dataset) {
  console.error('usage: node scripts/depth-priors.mjs <dataset> [families...]');
  process.exit(2);
}
const key = seedKey(0);
const engine = await createEngine('native', 1);
const read = (units) =>
  readNetworks(dataset, { size: '3x3', by: 'sources', most: 2000, names: NAMES, units, key }).networks;

const D = 9;
const rowsWhere = (n, keep) => Array.from({ length: n }, (_, i) => i).filter(keep);
const thirdOf = (depth) => Math.min(2, Math.floor(3 * depth));
const joined = (networks) => ({
  kernels: concatKernels(networks.map(({ kernels }) => kernels)),
  depths: networks.flatMap(({ depths }) => [...depths]),
});
/** Kernels divided by e^(slope · depth). */
const flattened = ({ kernels, depths }, slope) => ({
  depths,
  kernels: { ...kernels, data: kernels.data.map((x, i) => x * Math.exp(-slope * depths[Math.floor(i / D)])) },
});
/** Slope of the logarithm of the norm over depth, by least squares; kernels of norm 0 have none. */
function slopeOf({ kernels: { data, count }, depths }) {
  const norms = Array.from({ length: count }, (_, i) => Math.hypot(...data.subarray(i * D, (i + 1) * D)));
  const rows = rowsWhere(count, (i) => norms[i] > 0);
  const [x, y] = [mean(rows.map((i) => depths[i])), mean(rows.map((i) => Math.log(norms[i])))];
  const covariance = mean(rows.map((i) => (depths[i] - x) * (Math.log(norms[i]) - y)));
  return covariance / mean(rows.map((i) => (depths[i] - x) ** 2));
}

async function fitted(family, kernels) {
  return (await fitPrior({ family, kernels, engine, key: foldIn(key, 'fit') })).prior;
}
const nats = async (prior, kernels) =>
  (await heldOutDensity(prior, kernels, { samples: 200, seed: 0 }, engine)).logDensity;

/** Of kernels in their units; one prior for each part of the depth. */
async function inParts(family, train, test, partOf) {
  let total = 0;
  for (const part of new Set(test.depths.map(partOf))) {
    const of = ({ kernels, depths }) =>
      takeKernels(
        kernels,
        rowsWhere(kernels.count, (i) => partOf(depths[i]) === part),
      );
    const held = of(test);
    total += held.count * (await nats(await fitted(family, of(train)), held));
  }
  return total / test.kernels.count;
}

const networks = { he: read('he'), layer: read('layer') };
const scale = (units, i) => -D * mean([...networks[units][i].logUnits]); // (140)
for (const name of asked.length > 0 ? asked : ['scale-mixture']) {
  const family = families.get(name);
  const results = {};
  const slopes = [];
  const add = (row, value) => {
    results[row] = [...(results[row] ?? []), value];
  };
  for (const i of NAMES.keys()) {
    const split = (units) => [
      joined(networks[units].filter((_, j) => j !== i)),
      joined([networks[units][i]]),
    ];
    const [train, test] = split('he');
    const slope = slopeOf(train);
    const linear = -D * slope * mean(test.depths);
    slopes.push(slope);
    const flat = [flattened(train, slope), flattened(test, slope)];
    const one = () => 0;
    add('one prior', (await inParts(family, train, test, one)) + scale('he', i));
    add(
      'a prior for each third of the depth',
      (await inParts(family, train, test, thirdOf)) + scale('he', i),
    );
    add(
      'one prior, scale log-linear in depth',
      (await inParts(family, ...flat, one)) + linear + scale('he', i),
    );
    add(
      'each third, scale log-linear in depth',
      (await inParts(family, ...flat, thirdOf)) + linear + scale('he', i),
    );
    const known = split('layer');
    add('one prior, scale of the layer given', (await inParts(family, ...known, one)) + scale('layer', i));
    add(
      'each third, scale of the layer given',
      (await inParts(family, ...known, thirdOf)) + scale('layer', i),
    );
    console.error(`${name}: without ${NAMES[i]}`);
  }
  console.log(
    `${name}, slope of log scale ${mean(slopes).toFixed(2)} (${Math.min(...slopes).toFixed(2)} to ${Math.max(...slopes).toFixed(2)})`,
  );
  for (const [row, values] of Object.entries(results)) {
    const differences = values.map((x, i) => x - results['one prior'][i]);
    const text = (list, digits) => `${mean(list).toFixed(digits)} ± ${standardError(list).toFixed(digits)}`;
    console.log(`${row.padEnd(40)} ${text(values, 1).padStart(12)} ${text(differences, 2).padStart(15)}`);
  }
}
