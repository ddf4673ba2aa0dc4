// Kernels of a dataset, network by network: so many of each, for what is fitted on some networks and judged on others.
import { foldIn, type Key, RandomStream } from '../engine/random.js';
import { inputError } from '../errors.js';
import { compareSizes, type KernelSize, type Kernels, kernelLength, parseSize, sizeText } from './kernels.js';
import { spread } from './plan.js';
import { openStored, type StoredDataset, type StoredLayer } from './stored.js';
import { type Units, unitOf } from './units.js';

export interface NetworkKernels {
  /** Of the network, or of the source that has several. */
  name: string;
  /** Divided by the unit of their layer. */
  kernels: Kernels;
  /** Logarithm of what each kernel was divided by, [count]. */
  logUnits: Float64Array;
  /** Of each kernel's layer, from 0, the network's first convolution, to 1; NaN where it is not recorded. [count] */
  depths: Float64Array;
}

export interface NetworkOptions {
  size?: string;
  /** Whether all networks of a source are one. */
  by: 'networks' | 'sources';
  /** Kernels of each at most, spread over its networks and layers as evenly as these allow. */
  most: number;
  /** Names of networks or of sources; all unless given. */
  names?: readonly string[];
  units: Units;
  key: Key;
}

/** Networks with fewer kernels say too little of one. */
export const FEWEST_KERNELS = 10;

/** The source of a network: the package of dwp sources collect, the folder that dwp collect-kernels was given. */
export const sourceName = (network: string): string => network.split('/')[0];

/**
 * Train and test kernels together, drawn at random; in the order of the dataset.
 * @throws DwpError INPUT when there is no such size or network, or the folder is no dataset
 */
export function readNetworks(
  folder: string,
  { size: asked, by, most, names, units, key }: NetworkOptions,
): { networks: NetworkKernels[]; size: KernelSize; tooFew: string[] } {
  const dataset = openStored(folder);
  try {
    const size = chooseSize(dataset, asked);
    const layers = chooseLayers(dataset, size, names);
    const groups = grouped(layers, ({ source: { name } }) => (by === 'sources' ? sourceName(name) : name));
    const networks: NetworkKernels[] = [];
    const tooFew: string[] = [];
    for (const [name, members] of groups) {
      const taken = takeSome(members, parseSize(size), { most, units, key: foldIn(key, name) });
      if (taken.kernels.count < FEWEST_KERNELS) tooFew.push(name);
      else networks.push({ name, ...taken });
    }
    return { networks, size: parseSize(size), tooFew };
  } finally {
    dataset.close();
  }
}

function chooseSize({ folder, description }: StoredDataset, asked: string | undefined): string {
  const present = Object.keys(description.sizes).sort(compareSizes);
  if (asked === undefined && present.length !== 1)
    throw inputError(
      `${folder}: kernels of several sizes (${present.join(', ')})`,
      'choose one size with --size',
    );
  const size = asked === undefined ? present[0] : sizeText(parseSize(asked));
  if (!present.includes(size))
    throw inputError(`${folder}: no kernels of ${size}`, `it has ${present.join(', ')}`);
  return size;
}

function chooseLayers(
  { folder, layers }: StoredDataset,
  size: string,
  names: readonly string[] | undefined,
): StoredLayer[] {
  const present = layers.filter(({ record, rows }) => record.size === size && rows > 0);
  if (!names) return present;
  const isNamed = (network: string, name: string) => network === name || sourceName(network) === name;
  for (const name of names)
    if (!present.some(({ source }) => isNamed(source.name, name))) {
      const sources = [...new Set(present.map(({ source }) => sourceName(source.name)))];
      throw inputError(
        `${folder}: no network or source "${name}" with kernels of ${size}`,
        `its sources are ${sources.slice(0, 30).join(', ')}${sources.length > 30 ? ', …' : ''}`,
      );
    }
  return present.filter(({ source }) => names.some((name) => isNamed(source.name, name)));
}

function takeSome(
  layers: readonly StoredLayer[],
  size: KernelSize,
  { most, units, key }: Pick<NetworkOptions, 'most' | 'units' | 'key'>,
): Omit<NetworkKernels, 'name'> {
  const d = kernelLength(size);
  const shares = sharesOf(layers, most);
  const count = shares.reduce((a, b) => a + b, 0);
  const data = new Float32Array(count * d);
  const logUnits = new Float64Array(count);
  const depths = new Float64Array(count);
  let at = 0;
  for (const [i, { record, rows, read }] of layers.entries()) {
    if (shares[i] === 0) continue;
    const all = read();
    const unit = unitOf(units, record);
    const chosen = new RandomStream(foldIn(key, i)).permutation(rows).subarray(0, shares[i]).sort();
    for (const row of chosen) {
      for (let j = 0; j < d; j++) data[at * d + j] = all[row * d + j] / unit;
      logUnits[at] = Math.log(unit);
      depths[at] = record.depth ?? Number.NaN;
      at++;
    }
  }
  return { kernels: { ...size, data, count }, logUnits, depths };
}

/** Of each layer, so that networks give alike, and the layers of each network. */
function sharesOf(layers: readonly StoredLayer[], most: number): number[] {
  const shares = new Array<number>(layers.length).fill(0);
  const byNetwork = [...grouped([...layers.keys()], (i) => layers[i].record.model).values()];
  const rows = (i: number) => layers[i].rows;
  const ofNetworks = spread(
    byNetwork.map((members) => members.reduce((sum, i) => sum + rows(i), 0)),
    most,
  );
  byNetwork.forEach((members, n) => {
    spread(members.map(rows), ofNetworks[n]).forEach((share, j) => {
      shares[members[j]] = share;
    });
  });
  return shares;
}

function grouped<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    groups.get(key)?.push(item) ?? groups.set(key, [item]);
  }
  return groups;
}
