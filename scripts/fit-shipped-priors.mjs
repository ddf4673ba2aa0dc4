// Makes shipped-priors/: the fitted priors that ship, of published networks (dwp sources) and of the networks in pretrained/.
//   npm run build && dwp sources fetch && node scripts/fit-shipped-priors.mjs published-models
// The same files and seeds give the same weights bit for bit on one machine; on another the last digits may differ.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Kernels of a network that are as spread over directions as white noise say little of kernels: its mean variance entropy
 * (docs/quality.md) must be below this, for each size. Networks that enlarge images are above it.
 */
const LARGEST_ENTROPY = 0.95;

/** Name, size, and roles of the layers. */
const PRIORS = [
  ['3x3-first', '3x3', ['first']],
  ['3x3-inner', '3x3', ['middle', 'last']],
  ['3x3-depthwise', '3x3', ['depthwise']],
  ['5x5-first', '5x5', ['first']],
  ['5x5-inner', '5x5', ['middle', 'last']],
  ['5x5-depthwise', '5x5', ['depthwise']],
  ['7x7-first', '7x7', ['first']],
];
/**
 * On networks held out, a mixture is the best of the families that are quick (docs/sources.md); two fits averaged are small
 * enough for a package, and quick enough in a training step.
 */
const FAMILY = ['--family', 'mixture', '--members', '2'];
/** Fewer kernels than this are no prior. */
const FEWEST = 500;

const root = fileURLToPath(new URL('..', import.meta.url));
const [models = 'published-models'] = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), 'dwp-shipped-'));
const at = (name) => join(work, name);
const dwp = (...args) => {
  console.error(`dwp ${args.join(' ')}`);
  return execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args, '-q'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
};

dwp('sources', 'collect', '--dir', models, '--out', at('published'));
dwp('collect-kernels', join(root, 'pretrained'), '--out', at('lenets'));
dwp('merge-kernels', at('published'), at('lenets'), '--out', at('all'));
const described = (name) => JSON.parse(readFileSync(join(at(name), 'dataset.json'), 'utf8'));
const { sources, layers } = described('all');
/** What merging does not keep. */
const trainedOn = new Map(described('published').sources.map((source) => [source.name, source.trainedOn]));

for (const [name, size, roles] of PRIORS) {
  const own = layers.filter((layer) => layer.size === size && roles.includes(layer.role));
  const counted = new Map();
  for (const { model, train, test, quality } of own) {
    const kernels = train.count + test.count;
    const entry = counted.get(model) ?? { kernels: 0, weight: 0, entropy: 0 };
    entry.kernels += kernels;
    if (Number.isFinite(quality?.varianceEntropy)) {
      entry.weight += kernels;
      entry.entropy += kernels * quality.varianceEntropy;
    }
    counted.set(model, entry);
  }
  const chosen = [...counted].filter(
    ([, { kernels, weight, entropy }]) => kernels > 0 && weight > 0 && entropy / weight < LARGEST_ENTROPY,
  );
  const total = chosen.reduce((sum, [, { kernels }]) => sum + kernels, 0);
  if (total < FEWEST) {
    console.log(`${name}: left out, only ${total} kernels`);
    continue;
  }
  const part = at(`${name}-kernels`);
  const names = chosen.map(([model]) => sources[model].name);
  dwp('subset-kernels', at('all'), '--size', size, '--role', ...roles, '--source', ...names, '--out', part);
  const out = at(name);
  const fitted = JSON.parse(
    dwp(
      'fit-prior',
      part,
      '--size',
      size,
      '--role',
      ...roles,
      '--units',
      'layer',
      ...FAMILY,
      '--out',
      out,
      '--format',
      'json',
    ),
  );
  rmSync(join(out, 'real.npy')); // kernels of others
  writeFileSync(join(out, 'card.md'), card(name, fitted, chosen));
  const final = join(root, 'shipped-priors', name);
  rmSync(final, { recursive: true, force: true });
  cpSync(out, final, { recursive: true });
  console.log(
    `${name}: ${fitted.family}, ${total} kernels of ${chosen.length} networks, ${fitted.seconds.toFixed(0)} s`,
  );
}
rmSync(work, { recursive: true, force: true });
if (!existsSync(join(root, 'shipped-priors'))) throw new Error('no prior was written');

/** What a reader must know of a prior before using it. */
function card(name, { family, size, roles, kernels, test, baselines }, networks) {
  const nats = ({ logDensity, standardError }) => `${logDensity.toFixed(2)} ± ${standardError.toFixed(2)}`;
  const packages = new Map();
  for (const [model, { kernels: count }] of networks) {
    const { name: network, licence } = sources[model];
    const own = !trainedOn.has(network);
    const source = own ? 'pretrained (this project)' : network.split('/')[0];
    const on = own ? 'Fashion-MNIST' : trainedOn.get(network);
    const entry = packages.get(source) ?? { networks: 0, kernels: 0, licence, on };
    packages.set(source, { ...entry, networks: entry.networks + 1, kernels: entry.kernels + count });
  }
  return `# ${name}

A prior of ${size} kernels of ${roles.join(' and ')} layers, each divided by the root mean square of its layer. \`dwp train\`
multiplies its draws by √(2/fan-in) of the layer that they are for. Family: ${family}, fitted to ${kernels.train} kernels.

Nats per kernel, in these units, on ${test.n} kernels of networks that were not fitted:

| density | nats per kernel |
| --- | --- |
| ${family} (this prior) | ${nats(test)} |
| full-covariance Gaussian | ${nats(baselines.gaussian)} |
| isotropic normal, fitted | ${nats(baselines.isotropic)} |

Kernels come from networks whose kernels have structure (a variance entropy below ${LARGEST_ENTROPY}); none of them is in this folder.

| source | networks | kernels | licence | trained on |
| --- | --- | --- | --- | --- |
${[...packages].map(([source, { networks, kernels, licence, on }]) => `| ${source} | ${networks} | ${kernels} | ${licence ?? 'Apache-2.0'} | ${on ?? ''} |`).join('\n')}

Names of sources are those of \`dwp sources list\`, with packages and versions. Made by \`scripts/fit-shipped-priors.mjs\`.
`;
}
