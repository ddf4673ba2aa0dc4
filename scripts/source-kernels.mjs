// 3×3 kernels of groups of published networks, for examples/source-features.yaml and examples/source-networks.yaml: the same
// number of each source, every layer divided by its root mean square, and then of the scale of He's start in the layers of
// examples/networks/constant-16.yaml: the first one of grey images, the first one of colour images, the others.
//
//   npm run build && dwp sources fetch && dwp sources collect --out published-kernels
//   node scripts/source-kernels.mjs published-kernels runs/sources
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { seedKey } from '../dist/engine/index.js';
import { writeNpy } from '../dist/formats/npy.js';
import { concatKernels, heStd, readNetworks } from '../dist/kernels/index.js';

const GROUPS = {
  photos: ['open-nsfw', 'hed', 'mobilenet-v2', 'efficientnet-lite0'],
  faces: ['face-api'],
  documents: ['ocr', 'dddd-ocr'],
  upscalers: ['esrgan-thick', 'waifu2x'],
  sound: ['ina-speech-segmenter'],
};
/** Kernels of a group. */
const MOST = 6000;
/** [out, in, h, w] */
const LAYERS = { grey: [16, 1, 3, 3], colour: [16, 3, 3, 3], inner: [16, 16, 3, 3] };

const [dataset, out] = process.argv.slice(2);
if (!out || existsSync(out)) {
  console.error(out ? `${out} exists already` : 'usage: node scripts/source-kernels.mjs <dataset> <folder>');
  process.exit(2);
}
for (const [group, names] of Object.entries(GROUPS)) {
  const most = Math.floor(MOST / names.length);
  const options = { size: '3x3', by: 'sources', most, names, units: 'layer', key: seedKey(0) };
  const { data, count } = concatKernels(
    readNetworks(dataset, options).networks.map(({ kernels }) => kernels),
  );
  mkdirSync(join(out, group), { recursive: true });
  for (const [layer, shape] of Object.entries(LAYERS))
    writeNpy(join(out, group, `${layer}.npy`), {
      shape: [count, 3, 3],
      data: data.map((x) => x * heStd(shape)),
    });
  console.log(`${group}: ${count} kernels of ${names.join(', ')}`);
}
