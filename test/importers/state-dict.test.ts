// What names and shapes say where no graph does.
import { describe, expect, test } from 'vitest';
import { convolutionsOf, type NamedTensor, type StateDictHints } from '../../src/importers/state-dict.js';
import { ramp } from './write-models.js';

const tensor = (name: string, shape: number[], more: Partial<NamedTensor> = {}): NamedTensor => ({
  name,
  shape,
  dtype: 'float32',
  values: () => ramp(shape),
  ...more,
});
const summary = (tensors: NamedTensor[], hints?: StateDictHints) =>
  convolutionsOf(tensors, hints).layers.map(({ name, kind, shape }) => `${name} ${kind} ${shape}`);
const one = (name: string, shape: number[], hints?: StateDictHints, ...others: NamedTensor[]) =>
  summary([tensor('image.weight', [8, 3, 3, 3]), tensor(name, shape), ...others], hints)[1];

describe('order of axes', () => {
  test.each<[string, string, number[], StateDictHints, string]>([
    ['weight', 'a.weight', [64, 32, 3, 3], {}, 'a conv 64,32,3,3'],
    ['kernel', 'a/kernel', [3, 5, 32, 64], {}, 'a conv 64,32,3,5'],
    ['kernel:0', 'a/kernel:0', [3, 5, 32, 64], {}, 'a conv 64,32,3,5'],
    ['the file says so, against the name', 'a.kernel', [4, 2, 3, 3], { order: 'oihw' }, 'a conv 4,2,3,3'],
    ['MLX', 'a.weight', [4, 3, 5, 2], { order: 'ohwi' }, 'a conv 4,2,3,5'],
    ['a shape with large sides first', 'a/W', [64, 32, 3, 5], {}, 'a conv 64,32,3,5'],
    ['a shape with large sides last', 'a/weights', [3, 5, 32, 64], {}, 'a conv 64,32,3,5'],
    ['small sides, the last square', 'a/W', [4, 2, 3, 3], {}, 'a conv 4,2,3,3'],
    ['small sides, the first square', 'a/W', [3, 3, 2, 4], {}, 'a conv 4,2,3,3'],
  ])('%s', (_, name, shape, hints, expected) => {
    expect(summary([tensor(name, shape)], hints)).toEqual([expected]);
  });

  test('where a shape does not tell, as the others', () => {
    const unclear = tensor('b/W', [3, 3, 3, 3]);
    const values = (other: number[]) => [
      ...(convolutionsOf([tensor('a/W', other), unclear]).layers[1].read() as Float32Array),
    ];
    expect(values([64, 32, 3, 3]).slice(0, 3)).toEqual([1, 2, 3]);
    expect(values([3, 3, 32, 64]).slice(0, 3)).toEqual([1, 10, 19]);
  });
});

describe('kinds', () => {
  const bias = (layer: string, length: number) => tensor(`${layer}.bias`, [length]);
  test.each<[string, string, number[], NamedTensor[], string]>([
    [
      'the bias is as long as the second axis',
      'a.weight',
      [8, 4, 2, 2],
      [bias('a', 4)],
      'a transposed 4,8,2,2',
    ],
    [
      'the bias is twice the second axis: two groups',
      'a.weight',
      [8, 3, 2, 2],
      [bias('a', 6)],
      'a transposed 6,4,2,2',
    ],
    ['the bias is as long as the first axis', 'up.weight', [8, 4, 2, 2], [bias('up', 8)], 'up conv 8,4,2,2'],
    ['by name', 'deconv1.weight', [8, 4, 3, 3], [], 'deconv1 transposed 4,8,3,3'],
    [
      'by name, inside',
      'net.ConvTranspose_1.weight',
      [8, 4, 3, 3],
      [],
      'net.ConvTranspose_1 transposed 4,8,3,3',
    ],
    ['up, even sides', 'up1.up.weight', [8, 4, 2, 2], [], 'up1.up transposed 4,8,2,2'],
    ['up, odd sides: after an upsampling', 'up1.conv.weight', [8, 4, 3, 3], [], 'up1.conv conv 8,4,3,3'],
    ['words that only contain it', 'group.cup.weight', [8, 4, 2, 2], [], 'group.cup conv 8,4,2,2'],
    ['depthwise', 'a.weight', [8, 1, 3, 3], [], 'a depthwise 8,1,3,3'],
    ['one output', 'a.weight', [1, 1, 3, 3], [], 'a conv 1,1,3,3'],
    ['Flax, depthwise', 'a/kernel', [3, 3, 1, 8], [], 'a depthwise 8,1,3,3'],
    ['TensorFlow, depthwise', 'a/depthwise_kernel', [3, 3, 4, 2], [], 'a/depthwise_kernel depthwise 8,1,3,3'],
    ['TensorFlow, pointwise', 'a/pointwise_kernel', [1, 1, 8, 4], [], 'a/pointwise_kernel conv 4,8,1,1'],
    [
      'TensorFlow, transposed [h, w, out, in]',
      'conv2d_transpose/kernel',
      [2, 2, 5, 4],
      [],
      'conv2d_transpose transposed 5,4,2,2',
    ],
    [
      'Flax, transposed [h, w, in, out]',
      'ConvTranspose_0/kernel',
      [2, 2, 5, 4],
      [],
      'ConvTranspose_0 transposed 4,5,2,2',
    ],
  ])('%s', (_, name, shape, others, expected) => {
    expect(one(name, shape, {}, ...others)).toBe(expected);
  });

  test('grey images: the first layer of one channel, where none takes colours', () => {
    const [grey, next, depthwise] = [
      [16, 1, 3, 3],
      [32, 16, 3, 3],
      [32, 1, 3, 3],
    ];
    expect(
      summary([tensor('b.weight', next), tensor('a.weight', grey), tensor('c.weight', depthwise)]),
    ).toEqual(['b conv 32,16,3,3', 'a conv 16,1,3,3', 'c depthwise 32,1,3,3']);
    expect(summary([tensor('dw.weight', depthwise), tensor('b.weight', next)])[0]).toBe(
      'dw depthwise 32,1,3,3',
    );
  });

  test('kernels of Flax that slide are turned; those of TensorFlow paint already', () => {
    const values = (name: string) => [
      ...(convolutionsOf([tensor(name, [2, 3, 1, 1])]).layers[0].read() as Float32Array),
    ];
    expect(values('ConvTranspose_0/kernel')).toEqual([6, 5, 4, 3, 2, 1]);
    expect(values('conv2d_transpose/kernel')).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('what is no layer', () => {
  const reasons = (tensors: NamedTensor[], hints?: StateDictHints) => convolutionsOf(tensors, hints).skipped;

  test('optimisers are no layers, averages only where they are alone', () => {
    const moments = ['optimizer/a/m/W', 'optimizer_states.0.weight', 'x.optim.a.weight'].map((name) =>
      tensor(name, [4, 4, 3, 3]),
    );
    expect(convolutionsOf(moments)).toMatchObject({
      layers: [],
      skipped: [],
      advice: expect.stringContaining('state of an optimiser'),
    });
    const average = tensor('model_ema.a.weight', [4, 4, 3, 3]);
    expect(summary([average])).toHaveLength(1);
    expect(summary([average, tensor('model.a.weight', [4, 4, 3, 3])])).toEqual(['model.a conv 4,4,3,3']);
  });

  test('tables, statistics, empty and huge ones are skipped with a reason', () => {
    const others = ['pos_embed', 'a.attn.bias', 'running_mean', 'mask'].map((name) =>
      tensor(name, [1, 4, 7, 7]),
    );
    expect(reasons(others, { anyName: true })).toHaveLength(4);
    expect(reasons([tensor('x', [4, 4, 3, 3])])[0].reason).toContain('which no known convolution has');
    expect(summary([tensor('x', [4, 4, 3, 3])], { anyName: true })).toEqual(['x conv 4,4,3,3']);
    expect(reasons([tensor('x', [64, 3, 224, 224])], { anyName: true })[0].reason).toContain('no kernels');
    expect(reasons([tensor('a.weight', [4, 0, 3, 3])])).toEqual([
      { layer: 'a', reason: 'its weights [4,0,3,3] are empty' },
    ]);
    expect(reasons([tensor('table.weight', [10, 3])])).toEqual([]);
  });

  test('the same numbers count once', () => {
    const shared = { identity: '0:0' };
    expect(
      summary([tensor('a.weight', [4, 3, 3, 3], shared), tensor('b.weight', [4, 3, 3, 3], shared)]),
    ).toHaveLength(1);
  });
});
