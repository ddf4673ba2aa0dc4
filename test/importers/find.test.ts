// Which files of a folder are models, which are passed over, and files of one model.
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findModelFiles, openModel, passedOverText } from '../../src/importers/index.js';
import { loadModel } from './loaded.js';
import { ramp } from './write-models.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-find-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, content: string | Uint8Array = 'something') => {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), content);
};

/** Bytes of a safetensors file of float32 tensors that count from 1. */
function safetensors(shapes: Record<string, number[]>): Uint8Array {
  let end = 0;
  const header: Record<string, unknown> = {};
  const data: Uint8Array[] = [];
  for (const [name, shape] of Object.entries(shapes)) {
    const bytes = new Uint8Array(ramp(shape).buffer);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    data.push(bytes);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...data]);
}

const found = (...paths: string[]) => {
  const { files, passedOver } = findModelFiles(paths.map((path) => join(folder, path)));
  return {
    files: files.map(({ path }) => basename(path)),
    passedOver: Object.fromEntries(passedOver.map(({ path, what }) => [basename(path), what])),
  };
};

describe('files that are passed over', () => {
  test('are named with what they are; what lies beside models is not', () => {
    write('a.onnx');
    for (const name of ['a.pdparams', 'b.gguf', 'c.pkl', 'd.foo', 'x.tar.gz', 'raw.bin']) write(name);
    for (const name of ['README.md', 'config.json.bak.txt', 'LICENSE', '.git/objects/x.pack', 'cat.png'])
      write(name);
    write('phone.mlpackage/Data/weights/weight.bin');
    symlinkSync('a.onnx', join(folder, 'link.pth'));
    const { files, passedOver } = found('');
    expect(files).toEqual(['a.onnx']);
    expect(passedOver).toEqual({
      'a.pdparams': 'parameters of PaddlePaddle',
      'b.gguf': 'a model of llama.cpp',
      'c.pkl': 'a Python pickle that torch.save did not write',
      'd.foo': 'of an unknown kind',
      'link.pth': 'a link, which is not followed inside of a folder',
      'phone.mlpackage': 'a model of Core ML',
      'raw.bin': expect.stringMatching(/numbers without names/),
      'x.tar.gz': 'an archive',
    });
  });

  test('one line counts them, names some, and says what to do', () => {
    write('a.onnx');
    for (let i = 0; i < 5; i++) write(`${i}.pdparams`);
    write('m.ort');
    const text = passedOverText(findModelFiles([folder]).passedOver);
    expect(text).toBe(
      '6 files passed over: 0.pdparams, 1.pdparams, 2.pdparams and 2 more (parameters of PaddlePaddle: convert ' +
        'the model to ONNX with paddle2onnx); m.ort (a model of ONNX Runtime: use the .onnx file that it was made of)',
    );
  });

  test('a folder of nothing else is refused with them, and so is one that is named itself', async () => {
    write('a.caffemodel');
    expect(() => findModelFiles([folder])).toThrow(/no model files that can be read; 1 file passed over/);
    await expect(openModel(join(folder, 'a.caffemodel'))).rejects.toThrow(/a network of Caffe/);
    write('x.mlpackage/Manifest.json');
    expect(() => findModelFiles([join(folder, 'x.mlpackage')])).toThrow(/a model of Core ML/);
  });
});

describe('a model in several files', () => {
  const shard = (number: number, count = 3) =>
    `m-${String(number).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.safetensors`;
  const writeShards = (...numbers: number[]) => {
    for (const number of numbers)
      write(shard(number), safetensors({ [`conv${number}.weight`]: [number, 2, 3, 3] }));
  };

  test('is one by the numbers of its files, whichever is named', async () => {
    writeShards(1, 2, 3);
    write('other.safetensors', safetensors({ 'a.weight': [1, 1, 3, 3] }));
    expect(found('').files).toEqual([shard(1), 'other.safetensors']);
    expect(found(shard(3), shard(2)).files).toEqual([shard(3)]);
    for (const number of [1, 2, 3]) {
      const { layers, parts } = await loadModel(join(folder, shard(number)));
      expect(layers.map(({ shape }) => shape[0])).toEqual([1, 2, 3]);
      expect(parts).toHaveLength(2);
    }
  });

  test('a file that is missing is listed', async () => {
    writeShards(1, 3);
    const { layers, skipped } = await loadModel(join(folder, shard(1)));
    expect(layers).toHaveLength(2);
    expect(skipped).toEqual([{ layer: shard(2), reason: 'a file of the model that is missing (it has 3)' }]);
  });

  test('is one by its index, which may name any files', async () => {
    write('x.safetensors', safetensors({ 'a.weight': [1, 2, 3, 3] }));
    write('y.safetensors', safetensors({ 'b.weight': [2, 2, 3, 3] }));
    const map = { 'a.weight': 'x.safetensors', 'b.weight': 'y.safetensors' };
    write('m.safetensors.index.json', JSON.stringify({ weight_map: map }));
    expect(found('').files).toEqual(['m.safetensors.index.json']);
    const { files } = findModelFiles([folder]);
    const sizes = ['x', 'y'].map((name) => statSync(join(folder, `${name}.safetensors`)).size);
    expect(files[0].bytes).toBe(sizes[0] + sizes[1]);
    const { layers } = await loadModel(files[0].path);
    expect(layers.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('an index whose files are not there gives way to files with numbers', () => {
    writeShards(1, 2);
    const map = { a: shard(1), b: '../outside.safetensors' };
    write('m.safetensors.index.json', JSON.stringify({ weight_map: map }));
    expect(found('').files).toEqual([shard(1)]);
  });

  test('numbers that make no sense are a name like any other', () => {
    for (const [number, count] of [
      [4, 3],
      [0, 3],
      [1, 99_999],
    ])
      write(shard(number, count), safetensors({ 'a.weight': [1, 1, 3, 3] }));
    expect(found('').files).toHaveLength(3);
  });
});
