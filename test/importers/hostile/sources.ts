// Which hostile models an importer gets: by the endings of files that it reads, so that a new importer has some at
// once. Sound ones come from test/fixtures, and are the stock that mutations begin with.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import fc from 'fast-check';
import type { Importer } from '../../../src/importers/index.js';
import { convModel, hdf5File, node, onnxModel, ramp, rawFloats, writeWeight } from '../write-models.js';
import { kerasArchive, npz } from './archives.js';
import { tensorflowLite } from './flatbuffers.js';
import { type HostileModel, Random } from './model.js';
import { mutate } from './mutate.js';
import { onnx } from './onnx.js';
import { pytorch } from './pickle.js';
import { npy, safetensors, tensorflowJs } from './text.js';
import { zip } from './zip.js';

export interface HostileModels {
  /** Sound models, or nearly. */
  seeds: HostileModel[];
  /** Models of the format's structure with contents that do not fit. */
  generated: fc.Arbitrary<HostileModel>;
  /** Text that matters to the format. */
  words: readonly string[];
}

const LARGEST_SEED = 2 ** 17;

/** @param fixtures the folder test/fixtures */
export async function hostileModels(importer: Importer, fixtures: string): Promise<HostileModels> {
  const hdf5 = await hdf5Models();
  const generators: fc.Arbitrary<HostileModel>[] = [
    onnx,
    safetensors,
    npy,
    npz,
    pytorch,
    tensorflowJs,
    tensorflowLite,
    kerasArchive(hdf5.map(({ bytes }) => bytes)),
  ];
  const made = [
    ...hdf5,
    ...onnxModels(),
    ...generators.flatMap((each) => fc.sample(each, { seed: 1, numRuns: 8 })),
  ];
  const reads = ({ name, bytes }: HostileModel) =>
    importer.extensions.some((ending) => name.toLowerCase().endsWith(ending)) ||
    importer.recognises(bytes.subarray(0, 512), name);
  const own = generators.filter((each) => fc.sample(each, { seed: 1, numRuns: 8 }).some(reads));
  const stock = [...fixtureModels(fixtures), ...made].filter(reads);
  // one of every other format as well: files with the wrong name are common
  const foreign = made.filter((model) => !reads(model)).filter((_, i) => i % 7 === 0);
  const name = stock[0]?.name ?? `m${importer.extensions[0]}`;
  const seeds = [...stock, ...foreign.map((model) => ({ ...model, name }))];
  const generated = own.length > 0 ? fc.oneof(...own) : fc.constantFrom(...seeds);
  return { seeds, generated, words: WORDS };
}

/** Generated models, and seeds with one to eight changes. */
export function hostileArbitrary({ seeds, generated, words }: HostileModels): fc.Arbitrary<HostileModel> {
  const mutated = fc
    .record({ seed: fc.constantFrom(...seeds), numbers: fc.integer() })
    .map(({ seed, numbers }) => mutate(seed, new Random(numbers), seeds, words));
  return fc.oneof({ weight: 1, arbitrary: generated }, { weight: 2, arbitrary: mutated });
}

/** Every file of the fixtures, with its folder's other files as siblings. */
function fixtureModels(folder: string): HostileModel[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && statSync(path).size <= LARGEST_SEED);
  const contents = new Map(files.map((path) => [path, new Uint8Array(readFileSync(path))]));
  return files.map((path) => {
    const beside = files.filter((other) => other !== path && dirname(other) === dirname(path));
    const siblings = /\.(json|onnx)$/.test(path)
      ? Object.fromEntries(beside.map((other) => [basename(other), contents.get(other)!]))
      : {};
    return { name: basename(path), bytes: contents.get(path)!, siblings };
  });
}

const onnxModels = (): HostileModel[] =>
  [
    convModel([4, 3, 3, 3]),
    convModel([4, 1, 3, 3], undefined, 4),
    onnxModel(
      [node('Transpose', ['v'], 'w', { perm: [3, 2, 0, 1] }), node('ConvTranspose', ['x', 'w'], 'y')],
      [rawFloats('v', [3, 2, 4, 5], ramp([3, 2, 4, 5]))],
    ),
  ].map((bytes) => ({ name: 'm.onnx', bytes }));

/** HDF5 as the library writes it: plain, chunked and compressed, nested, with many names. */
async function hdf5Models(): Promise<HostileModel[]> {
  const files = await Promise.all([
    hdf5File((file) => writeWeight(file, 'conv/conv/kernel:0', [3, 3, 2, 4])),
    hdf5File((file) => {
      const layers = file.create_group('layers').create_group('conv2d').create_group('vars');
      layers.create_dataset({ name: '0', data: ramp([3, 3, 2, 4]), shape: [3, 3, 2, 4] });
      layers.create_dataset({
        ...{ name: '1', data: ramp([5, 5, 4, 4]), shape: [5, 5, 4, 4] },
        ...{ chunks: [5, 5, 2, 2], compression: 4 },
      });
    }),
    hdf5File((file) => {
      file.create_attribute('layer_names', ['conv2d', 'depthwise']);
      for (const layer of ['conv2d', 'depthwise'])
        file.create_group(layer).create_attribute('weight_names', [`${layer}/kernel:0`]);
      writeWeight(file, 'conv2d/conv2d/kernel:0', [3, 3, 2, 4]);
      writeWeight(file, 'depthwise/depthwise/kernel:0', [3, 3, 4, 1]);
    }),
    hdf5File((file) => {
      for (let i = 0; i < 40; i++) writeWeight(file, `layer_${i}/kernel:0`, [1, 1, 1, 1]);
    }),
  ]);
  return [
    ...files.map((bytes) => ({ name: 'm.h5', bytes })),
    ...files.slice(0, 2).map((bytes) => ({
      name: 'm.keras',
      bytes: zip([
        { name: 'metadata.json', bytes: new TextEncoder().encode('{"keras_version": "3.0.0"}') },
        {
          name: 'config.json',
          bytes: new TextEncoder().encode('{"class_name": "Sequential", "config": {}}'),
        },
        { name: 'model.weights.h5', bytes },
      ]),
    })),
  ];
}

const WORDS = [
  ...['Conv', 'ConvTranspose', 'Constant', 'Reshape', 'Transpose', 'weights', 'kernel:0', 'weightsManifest'],
  ...[
    'location',
    'offset',
    'length',
    '"shape":[',
    '"dtype":"float32"',
    'data_offsets',
    '__metadata__',
    'F16',
    'BF16',
  ],
  ...[
    'ctorch\nFloatStorage\n',
    'ctorch._utils\n_rebuild_tensor_v2\n',
    'q\x00',
    'h\x00',
    '(',
    '}',
    '{',
    '[[[[[[[[',
  ],
  ...[
    'OHDR',
    'FRHP',
    'BTHD',
    'TREE',
    'SNOD',
    'HEAP',
    'GCOL',
    'OCHK',
    'FADB',
    'EAHD',
    'PK\x01\x02',
    'PK\x05\x06',
  ],
  ...[
    'TFL3',
    "'descr': '<f8'",
    "'fortran_order': True",
    "'shape': (3, 3, ",
    'quantization',
    'float16',
    'uint8',
  ],
];
