// Networks from YAML: the examples, both forms of a layer, widths and classes, and every mistake with its line.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import {
  type Architecture,
  convLayers,
  describedArchitecture,
  layerKinds,
  networkFromYaml,
  weightShape,
} from '../../src/network/index.js';
import { kindTables } from './kind-tables.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'examples/networks');
const COLOUR = { height: 32, width: 32, channels: 3 };
const EXAMPLES = readdirSync(FOLDER);

const build = (text: string, width = 1): Architecture =>
  describedArchitecture(networkFromYaml(text, 'net.yaml'), COLOUR, 10, width);

function errorOf(text: string): DwpError {
  try {
    build(text);
  } catch (error) {
    if (error instanceof DwpError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

test.each(EXAMPLES)('%s: colour and grey images, any width and number of classes', (name) => {
  const network = networkFromYaml(readFileSync(join(FOLDER, name), 'utf8'), name);
  for (const channels of [1, 3])
    for (const [width, classes] of [
      [1, 10],
      [0.5, 7],
      [2, 3],
    ]) {
      const architecture = describedArchitecture(
        network,
        { height: 28, width: 32, channels },
        classes,
        width,
      );
      expect(architecture.layers.at(-1)!.outputShape).toEqual([classes]);
      expect(weightShape(convLayers(architecture)[0]).slice(0, 2)).toEqual([16 * width, channels]);
    }
});

test('the short forms are the long one', () => {
  const long = `
layers:
  - {kind: conv, channels: 4, kernel: 3}
  - {kind: relu}
  - {kind: flatten}
  - {kind: dense, units: classes}
`;
  const short = `
layers:
  - conv: {channels: 4, kernel: 3}
  - relu
  - flatten:
  - dense: {units: classes}
`;
  expect(build(short)).toEqual(build(long));
  expect(build(long).name).toBe('net');
});

test('a width keeps whole groups, the last layer, and at least one channel', () => {
  const text = `
layers:
  - conv: {channels: 6, kernel: 1}
  - conv: {channels: 8, kernel: 3, groups: 2}
  - flatten
  - dense: {units: 20}
  - dense: {units: 10}
`;
  const shapes = (width: number) =>
    build(text, width).layers.flatMap(({ name, outputShape }) =>
      name === 'flatten' ? [] : [outputShape.at(-1)],
    );
  expect(shapes(1)).toEqual([6, 8, 20, 10]);
  expect(shapes(2)).toEqual([12, 16, 40, 10]);
  expect(shapes(1 / 3)).toEqual([2, 2, 7, 10]);
  expect(build(text.replace('groups: 2', 'groups: 1'), 1 / 64).layers[0].outputShape).toEqual([32, 32, 1]);
});

const END = '\n  - flatten\n  - dense: {units: classes}\n';

test.each([
  [
    'an unknown kind',
    `layers:\n  - relu\n  - {kind: convolve, name: odd}${END}`,
    /^layer odd, line 3 of net.yaml: .*convolve/,
  ],
  [
    'an unknown option',
    `layers:\n  - {kind: conv, channels: 2, kernel: 3, filter: 2}${END}`,
    /^layer conv, line 2 of net.yaml: .*filter/,
  ],
  [
    'an option of the wrong type',
    `layers:\n  - {kind: conv, channels: x, kernel: 3}${END}`,
    /^layer conv, line 2 .*channels: must be a whole/,
  ],
  [
    'a cycle',
    `layers:\n  - {kind: relu, name: a, inputs: b}\n  - {kind: relu, name: b, inputs: a}${END}`,
    /^layer a, line 2 .*\(a → b → a\)/,
  ],
  [
    'a missing input',
    `layers:\n  - {kind: relu, name: a, inputs: nowhere}${END}`,
    /^layer a, line 2 .*no layer nowhere/,
  ],
  [
    'two layers of one name',
    `layers:\n  - {kind: relu, name: a}\n  - {kind: relu, name: a}${END}`,
    /^layer a, line 2 .*two layers/,
  ],
  [
    'shapes that differ',
    `layers:\n  - {kind: max-pool, name: a, size: 2}\n  - {kind: add, inputs: [a, images]}${END}`,
    /^layer add, line 3 of net.yaml \(add\): .*\[16, 16, 3\] and \[32, 32, 3\]/,
  ],
  [
    'a kernel that is too large',
    `layers:\n  - conv: {channels: 2, kernel: 40}${END}`,
    /^images of 32×32 are too small for net.yaml: layer conv, line 2/,
  ],
  [
    'another number of outputs',
    'layers:\n  - flatten\n  - dense: {units: 3}\n',
    /^layer dense, line 3 of net.yaml: .*\[3\], and there are 10/,
  ],
  ['no kind', `layers:\n  - {channels: 2, kernel: 3}${END}`, /^net.yaml, line 2: this layer has no kind/],
  ['a number as a layer', `layers:\n  - 7${END}`, /^net.yaml, line 2: this is no layer/],
  [
    'options that are a list',
    `layers:\n  - conv: [1]${END}`,
    /^net.yaml, line 2: layer conv: its options are no mapping/,
  ],
  [
    'a name that is a number',
    `layers:\n  - {kind: relu, name: 7}${END}`,
    /^net.yaml, line 2: layer 1: name: /,
  ],
  ['another key', `widths: 2\nlayers: [relu]\n`, /^net.yaml, line 1: there is no key widths/],
  ['no list', 'layers: relu\n', /^net.yaml, line 1: layers is not a list/],
  ['no mapping', '- relu\n', /^net.yaml: not a network/],
  ['no layers', 'layers: []\n', /^net.yaml: layers: /],
  ['no YAML', 'layers:\n  - {kind: conv\nname: x\n', /^net.yaml, line \d: not valid YAML/],
  ['deep nesting', `layers: ${'['.repeat(50_000)}`, /^net.yaml.*not valid YAML/],
  [
    'aliases that grow',
    `layers:\n${Array.from({ length: 12 }, (_, i) => `  - &a${i} {kind: relu, x: [${i ? `*a${i - 1}, `.repeat(9) : '1, '}]}`).join('\n')}\n`,
    /line \d+.*alias/i,
  ],
  ['more than a megabyte', `# ${'x'.repeat(2 ** 20)}\nlayers: [relu]\n`, /^net.yaml: more than/],
])('refuses %s', (_, text, message) => {
  const { code, message: given } = errorOf(text);
  expect(code).toBe('USAGE');
  expect(given).toMatch(message);
});

test('docs/own-networks.md says of every kind and option what the kind itself says', () => {
  const path = join(ROOT, 'docs/own-networks.md');
  const [before] = (existsSync(path) ? readFileSync(path, 'utf8') : '').split('## Kinds of layers\n');
  const complete = `${before}## Kinds of layers\n\n${kindTables()}`;
  if (process.env.WRITE_DOCS) writeFileSync(path, complete);
  expect(readFileSync(path, 'utf8')).toBe(complete);
  expect([...layerKinds.keys()].filter((kind) => !complete.includes(`\`${kind}\``))).toEqual([]);
});
