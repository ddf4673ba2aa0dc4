// Networks as graphs: what is inferred, and what is refused with the layer's name.
import { describe, expect, test } from 'vitest';
import {
  architectures,
  buildArchitecture,
  convLayers,
  kindOf,
  type LayerDescription,
  namedArchitecture,
  scaledChannels,
  weightShape,
} from '../../src/network/index.js';

const INPUT = { height: 8, width: 8, channels: 2 };
const END: LayerDescription[] = [{ kind: 'global-average-pool' }, { kind: 'dense', units: 3 }];
const build = (...layers: LayerDescription[]) => buildArchitecture('net', INPUT, 3, layers);

describe('names, inputs and order', () => {
  test('a layer without inputs reads the one before it, and is called after its kind and place', () => {
    const { layers } = build(
      { kind: 'conv', channels: 4, kernel: 3 },
      { kind: 'relu' },
      { kind: 'conv', channels: 5, kernel: 3 },
      ...END,
    );
    expect(layers.map(({ name, inputs }) => [name, ...inputs])).toEqual([
      ['conv1', 'images'],
      ['relu', 'conv1'],
      ['conv2', 'relu'],
      ['global-average-pool', 'conv2'],
      ['dense', 'global-average-pool'],
    ]);
    expect(layers.map(({ outputShape }) => outputShape)).toEqual([[6, 6, 4], [6, 6, 4], [4, 4, 5], [5], [3]]);
  });

  test('layers come in an order in which each follows what it reads, whatever the order of the list', () => {
    const { layers } = build(
      { kind: 'add', name: 'sum', inputs: ['b', 'a'] },
      { kind: 'conv', name: 'a', inputs: 'images', channels: 2, kernel: 1 },
      { kind: 'conv', name: 'b', inputs: 'a', channels: 2, kernel: 1 },
      { kind: 'global-average-pool', inputs: 'sum' },
      { kind: 'dense', units: 3 },
    );
    expect(layers.map(({ name }) => name)).toEqual(['a', 'b', 'sum', 'global-average-pool', 'dense']);
  });
});

describe('refused, with the name of the layer', () => {
  test.each<[string, LayerDescription[], RegExp]>([
    ['an unknown kind', [{ kind: 'convolution' }, ...END], /layer convolution: there is no kind of layer/],
    [
      'an unknown option',
      [{ kind: 'conv', channels: 2, kernal: 3, kernel: 3 }, ...END],
      /layer conv: .*kernal/,
    ],
    [
      'a missing option',
      [{ kind: 'conv', channels: 2 }, ...END],
      /layer conv: kernel: must be a whole number/,
    ],
    [
      'a number out of range',
      [{ kind: 'conv', channels: 0, kernel: 3 }, ...END],
      /layer conv: channels: must be at least 1/,
    ],
    [
      'a missing input',
      [{ kind: 'conv', inputs: 'x', channels: 2, kernel: 3 }, ...END],
      /layer conv: there is no layer x to read/,
    ],
    [
      'a cycle',
      [{ kind: 'add', name: 'a', inputs: ['images', 'b'] }, { kind: 'relu', name: 'b' }, ...END],
      /layer a: its inputs lead back to it \(a → b → a\)/,
    ],
    [
      'shapes that differ',
      [{ kind: 'conv', name: 'a', channels: 3, kernel: 1 }, { kind: 'add', inputs: ['images', 'a'] }, ...END],
      /layer add \(add\): its inputs must have one shape, they have \[8, 8, 2\] and \[8, 8, 3\]/,
    ],
    [
      'a kernel larger than the image',
      [{ kind: 'conv', channels: 2, kernel: 9 }, ...END],
      /window of 9×9 is larger than its input of 8×8/,
    ],
    [
      'an image where a vector is needed',
      [{ kind: 'dense', units: 3 }],
      /layer dense \(dense\): it needs a vector, its input is \[8, 8, 2\]/,
    ],
    [
      'a vector where an image is needed',
      [{ kind: 'flatten' }, { kind: 'conv', channels: 1, kernel: 1 }],
      /its input is \[128\]/,
    ],
    [
      'groups that do not divide',
      [{ kind: 'conv', channels: 3, kernel: 1, groups: 2 }, ...END],
      /2 groups do not divide 2 input and 3 output/,
    ],
    [
      'the wrong number of outputs',
      [{ kind: 'flatten' }, { kind: 'dense', units: 4 }],
      /ends in \[4\], and there are 3 classes/,
    ],
    [
      'two ends',
      [{ kind: 'relu', name: 'a' }, { kind: 'relu', name: 'b', inputs: 'images' }, ...END],
      /ends in 2 layers: a, dense/,
    ],
    [
      'two of one name',
      [{ kind: 'relu', name: 'a' }, { kind: 'tanh', name: 'a' }, ...END],
      /layer a: two layers have this name/,
    ],
    [
      'one input too many',
      [{ kind: 'relu', inputs: ['images', 'images'] }, ...END],
      /layer relu: a layer of kind relu has one input, not 2/,
    ],
    ['no layers', [], /net has no layers/],
  ])('%s', (_, layers, message) => {
    expect(() => build(...layers)).toThrow(message);
  });

  test('weights that no memory holds', () => {
    expect(() => build({ kind: 'conv', channels: 4096, kernel: 4096, padding: 4000 }, ...END)).toThrow(
      /too large/,
    );
  });
});

describe.each([...architectures.keys()])('%s', (name) => {
  test.each([
    [28, 1, 1],
    [32, 3, 1],
    [32, 3, 0.25],
  ])('images of %i×%i, %i channels', (side, channels, width) => {
    const counts = scaledChannels(architectures.get(name)!.channels, width);
    const architecture = namedArchitecture(name, { height: side, width: side, channels }, 10, counts);
    expect(architecture.layers.at(-1)!.outputShape).toEqual([10]);
    expect(weightShape(convLayers(architecture)[0])[1]).toBe(channels);
    for (const layer of architecture.layers)
      expect(kindOf(layer).multiplyAdds(layer)).toBeGreaterThanOrEqual(0);
  });

  test('the smallest images that fit are named where others are too small', () => {
    const [, needed] = /at least (\d+)×/.exec(hintOf(() => namedArchitecture(name, small(1), 10))) ?? [];
    if (needed === undefined) return void namedArchitecture(name, small(1), 10); // anything fits
    expect(() => namedArchitecture(name, small(Number(needed) - 1), 10)).toThrow(/too small/);
    namedArchitecture(name, small(Number(needed)), 10);
  });
});

const small = (side: number) => ({ height: side, width: side, channels: 1 });

function hintOf(work: () => unknown): string {
  try {
    work();
    return '';
  } catch (error) {
    return (error as { hint?: string }).hint ?? '';
  }
}

test('LeNet needs 18×18, as it says', () => {
  expect(hintOf(() => namedArchitecture('lenet', small(14), 10))).toBe('it needs at least 18×18');
});
