// Files of torch.export: weights as raw bytes with a description, as an entry of torch.save, and neither.
import { expect, test } from 'vitest';
import { torch } from '../../src/importers/torch.js';
import { bytesOf, dict, int, PROTOCOL_2, storage, tensor, text, tuple } from '../formats/write-pickle.js';
import { type ZipContent, zipFile } from '../formats/write-zip.js';
import { loadBytes } from './loaded.js';

const SHAPE = [2, 3, 1, 2];
const values = Float32Array.from({ length: 12 }, (_, i) => i + 1);
const raw = new Uint8Array(values.buffer);
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const ints = (list: readonly number[]) => list.map((n) => ({ as_int: n }));
const load = (...entries: ZipContent[]) => loadBytes(torch, zipFile(entries), 'model.pt2');

const meta = (more: object = {}) => ({
  ...{ dtype: 7, sizes: ints(SHAPE), strides: ints([6, 2, 2, 1]), storage_offset: { as_int: 0 } },
  ...more,
});
const archive = (more: object = {}, weight: object = {}): ZipContent[] => [
  { name: 'm/data/weights/weight_0', content: raw },
  {
    name: 'm/data/weights/model_weights_config.json',
    content: json({
      config: {
        'conv.weight': { path_name: 'weight_0', use_pickle: false, tensor_meta: meta(more), ...weight },
      },
    }),
  },
  { name: 'm/archive_format', content: new TextEncoder().encode('pt2') },
];

test('raw weights, also as a view in another order', async () => {
  const { layers } = await load(...archive());
  expect(layers).toEqual([{ name: 'conv', kind: 'conv', shape: SHAPE, dtype: 'float32', data: values }]);
  const [channelsLast] = (await load(...archive({ strides: ints([6, 1, 6, 3]) }))).layers;
  expect([...channelsLast.data]).toEqual([1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12]);
});

const pickle = bytesOf(
  PROTOCOL_2,
  dict([
    text('conv.weight'),
    tensor(storage('0', int(12)), int(0), tuple(...SHAPE.map(int)), tuple(...[6, 2, 2, 1].map(int))),
  ]),
  '.',
);
const saved = zipFile([
  { name: 'archive/data.pkl', content: pickle },
  { name: 'archive/data/0', content: raw },
]);

test.each(['serialized_state_dict.pt', 'serialized_state_dict.json', 'm/data/weights/model.pt'])(
  'what torch.save wrote, as %s',
  async (name) => {
    const { layers } = await load(
      { name: 'serialized_exported_program.json', content: json({}) },
      { name, content: saved, deflate: true },
    );
    expect(layers.map(({ data }) => [...data])).toEqual([[...values]]);
  },
);

test('an archive in an archive in an archive is not followed', async () => {
  const name = 'serialized_state_dict.pt';
  const nested = zipFile([{ name, content: saved }]);
  await expect(load({ name, content: nested })).rejects.toMatchObject({ code: 'INPUT' });
});

test('a program without its weights is named as what it is', async () => {
  await expect(load({ name: 'm/archive_format', content: new Uint8Array(3) })).rejects.toMatchObject({
    code: 'INPUT',
    message: expect.stringContaining('torch.export'),
    hint: expect.stringContaining('torch.save'),
  });
});

test('weights of other types are skipped by name', async () => {
  expect((await load(...archive({ dtype: 29 }))).skipped[0].reason).toContain('type 29');
});

test.each<[string, ZipContent[]]>([
  ['a shape that is larger than the bytes', archive({ sizes: ints([200, 3, 1, 2]) })],
  ['strides that lead out of them', archive({ strides: ints([600, 2, 2, 1]) })],
  ['an offset behind them', archive({ storage_offset: { as_int: 1 } })],
  ['sizes that are no counts', archive({ sizes: [{ as_int: -1 }, { as_expr: 's0' }] })],
  ['fewer strides than sizes', archive({ strides: ints([1]) })],
  ['a file that is not there', archive({}, { path_name: '../../weight_0' })],
  ['no description', archive({}, { tensor_meta: null })],
])('damaged: %s', async (_, entries) => {
  await expect(load(...entries)).rejects.toMatchObject({
    code: 'INPUT',
    message: expect.stringMatching(/model\.pt2: damaged/),
  });
});
