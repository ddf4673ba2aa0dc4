// Tensors of many libraries, by their names, shapes and values: what is a kernel, in which layout, and what is said.
import { describe, expect, test } from 'vitest';
import { convolutionsOf, type NamedTensor, type StateDictHints } from '../../src/importers/state-dict.js';

const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Values without a pattern, by a seed. */
function noise(shape: readonly number[], seed: number): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length: count(shape) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

let seeds = 1;
const tensor = (name: string, shape: number[], data = noise(shape, seeds++)): NamedTensor => ({
  name,
  shape,
  dtype: 'float32',
  values: () => data,
});
const torch: StateDictHints = { order: 'oihw', certain: true };
const found = (tensors: NamedTensor[], hints: StateDictHints = torch) =>
  convolutionsOf(tensors, hints).layers.map(({ name, kind, shape }) => `${name} ${kind} ${shape}`);
const reasons = (tensors: NamedTensor[], hints: StateDictHints = torch) =>
  convolutionsOf(tensors, hints).skipped.map(({ layer, reason }) => `${layer}: ${reason}`);

describe('layout', () => {
  const mlx = [
    tensor('conv1.weight', [8, 5, 5, 1]),
    tensor('conv1.bias', [8]),
    tensor('conv2.weight', [16, 3, 3, 8]),
    tensor('conv2.bias', [16]),
    tensor('conv3.weight', [24, 1, 1, 16]),
  ];
  const layers = ['conv1 conv 8,1,5,5', 'conv2 conv 16,8,3,3', 'conv3 conv 24,16,1,1'];

  test('weights of MLX are told by their shapes, and a note says so', () => {
    expect(found(mlx, {})).toEqual(layers);
    expect(convolutionsOf(mlx).notes).toEqual([expect.stringMatching(/\[out, h, w, in\].*shapes/)]);
  });

  test('a label of the file that shapes contradict', () => {
    expect(found(mlx, { order: 'oihw' })).toEqual(layers);
    expect(convolutionsOf(mlx, { order: 'oihw' }).notes).toEqual([expect.stringContaining('contradict')]);
  });

  test('kernels that are no squares stay what the format says, without a note', () => {
    const eeg = [
      tensor('time.weight', [8, 1, 1, 64]),
      tensor('space.weight', [16, 1, 22, 1]),
      tensor('separable.0.weight', [16, 1, 1, 16]),
      tensor('separable.1.weight', [16, 16, 1, 1]),
    ];
    expect(found(eeg)[0]).toMatch(/8,1,1,64$/);
    const speech = [tensor('conv.0.weight', [32, 1, 41, 11]), tensor('conv.3.weight', [32, 32, 21, 11])];
    expect(found(speech, {})).toEqual(['conv.0 conv 32,1,41,11', 'conv.3 conv 32,32,21,11']);
    expect(convolutionsOf(eeg, torch).notes).toBeUndefined();
  });
});

describe('Bayesian layers: means are kernels, all else is not', () => {
  test.each([
    [['mu_kernel'], ['rho_kernel', 'eps_kernel', 'prior_weight_mu', 'prior_weight_sigma']],
    [['weight_mu'], ['weight_rho', 'weight_sampler.mu', 'weight_sampler.rho', 'weight_sampler.eps_w']],
    [['weight_mu'], ['weight_log_sigma', 'weight_eps']],
    [['W_mu'], ['W_rho']],
    [['qw_mean'], ['qw_logvar']],
    [['mu_weight'], ['sigma_weight']],
    [['weight_loc'], ['weight_scale']],
    [['kernel_posterior_loc'], ['kernel_posterior_untransformed_scale']],
    [['weight.loc'], ['weight.scale_unconstrained']],
    [['weight_mean'], ['weight_sq_mean']],
    [['mu'], ['rho']],
  ])('%s beside %s', (means, others) => {
    const shape = [16, 8, 3, 3];
    const tensors = [...means, ...others].map((role) => tensor(`features.0.${role}`, shape));
    expect(found(tensors)).toEqual(['features.0 conv 16,8,3,3']);
    const kernel = convolutionsOf(tensors, torch);
    expect([...(kernel.layers[0].read() as Float32Array)]).toEqual([
      ...(tensors[0].values as () => Float32Array)(),
    ]);
    expect(kernel.notes).toEqual([expect.stringContaining('means')]);
    for (const { reason } of kernel.skipped)
      expect(reason).toMatch(/standard deviation|statistic|no convolution/);
  });

  test('guides keep means and scales in trees', () => {
    const guide = ['locs', 'scales'].map((tree) => tensor(`AutoNormal.${tree}.conv1.weight`, [16, 8, 3, 3]));
    expect(found(guide)).toEqual(['AutoNormal.locs.conv1 conv 16,8,3,3']);
  });

  test('a layer that is called mu is one', () => {
    expect(
      found([tensor('head.mu.weight', [8, 4, 3, 3]), tensor('head.logvar.weight', [8, 4, 3, 3])]),
    ).toHaveLength(2);
  });
});

test('factors of adapters are no kernels, the layers under them are', () => {
  const tensors = [
    tensor('conv1.base_layer.weight', [8, 8, 3, 3]),
    ...[
      'lora_A.default.weight',
      'lora_down.weight',
      'hada_t1',
      'lokr_w2',
      'lora_magnitude_vector.default.weight',
    ].map((role) => tensor(`conv1.${role}`, [4, 8, 3, 3])),
  ];
  expect(found(tensors)).toEqual(['conv1.base_layer conv 8,8,3,3']);
  expect(reasons(tensors)).toHaveLength(5);
  expect(convolutionsOf(tensors.slice(1), torch).advice).toContain('merge');
});

test('weights of capsules are no convolutions, those of primary capsules are', () => {
  const network = [
    tensor('conv1.weight', [16, 1, 9, 9]),
    tensor('primary_capsules.capsules.0.weight', [32, 16, 9, 9]),
    tensor('primary_capsules.capsules.0.bias', [32]),
  ];
  for (const shape of [
    [10, 32, 8, 16],
    [10, 18, 16, 8],
    [10, 288, 8, 8],
  ])
    for (const name of ['digit_capsules.route_weights', 'digitcaps.weight'])
      expect(found([...network, tensor(name, shape)]), `${name} ${shape}`).toHaveLength(2);
});

test('masks alone are no weights', () => {
  const mask = (name: string) =>
    tensor(
      name,
      [4, 4, 3, 3],
      noise([4, 4, 3, 3], 7).map((x) => (x > 0 ? 1 : 0)),
    );
  const { layers, skipped, advice } = convolutionsOf([mask('a.weight'), mask('b.weight')], torch);
  expect(layers).toEqual([]);
  expect(skipped.map(({ reason }) => reason)).toEqual([
    expect.stringContaining('mask'),
    expect.stringContaining('mask'),
  ]);
  expect(advice).toContain('masks');
  const weight = tensor('a.weight', [4, 4, 3, 3]);
  expect(found([weight, mask('masks.b.weight')])).toEqual(['a conv 4,4,3,3']);
});

describe('copies in one file', () => {
  const network = (head: string, seed: number) => [
    tensor(`${head}.0.weight`, [8, 3, 3, 3], noise([8, 3, 3, 3], seed)),
    tensor(`${head}.0.bias`, [8]),
    tensor(`${head}.1.weight`, [16, 8, 3, 3], noise([16, 8, 3, 3], seed + 1)),
    tensor(`${head}.2.weight`, [16, 16, 3, 3], noise([16, 16, 3, 3], seed + 2)),
  ];
  test.each([
    ['state_dict.module.encoder_q', 'state_dict.module.encoder_k'],
    ['student.backbone', 'teacher.backbone'],
    ['params', 'params_ema'],
    ['g', 'g_ema'],
    ['moco.encoder', 'moco.momentum_encoder'],
    ['online_network', 'target_network'],
    ['state_dict', 'state_dict_ema.module'],
  ])('%s and %s', (own, copy) => {
    const tensors = [...network(copy, 50), ...network(own, 51)];
    expect(found(tensors)).toEqual([0, 1, 2].map((i) => expect.stringContaining(`${own}.${i} `)));
    expect(reasons(tensors)).toHaveLength(3);
    expect(reasons(tensors)[0]).toMatch(new RegExp(`(copy|average) of "${own.split('.')[0]}`));
    expect(found(network(copy, 50)), 'alone, it is the network').toHaveLength(3);
  });

  test('two networks of one kind are two, unless their values are nearly the same', () => {
    expect(found([...network('left', 1), ...network('right', 9)])).toHaveLength(6);
    expect(found([...network('left', 1), ...network('right', 1)])).toHaveLength(3);
  });

  test('a layer as it was before it was trained further', () => {
    const values = noise([8, 8, 3, 3], 5);
    const near = values.map((x) => 1.01 * x);
    const tensors = [
      tensor('head.original_module.weight', [8, 8, 3, 3], values),
      tensor('head.modules_to_save.default.weight', [8, 8, 3, 3], near),
    ];
    expect(found(tensors)).toEqual(['head.modules_to_save.default conv 8,8,3,3']);
  });

  test('queries, keys and modules that are called like an average', () => {
    const layers = (...names: string[]) =>
      found(names.map((name) => tensor(`${name}.weight`, [16, 16, 3, 3])));
    expect(layers('block.attn.query', 'block.attn.key', 'block.attn.value')).toHaveLength(3);
    expect(layers('attn.conv_q', 'attn.conv_k')).toHaveLength(2);
    expect(layers('body.cv1.conv', 'body.ema.conv', 'shadow.conv')).toHaveLength(3);
  });
});

describe('images of one channel', () => {
  test.each([
    [
      'a spatial attention of two maps',
      [
        ['stem', [16, 1, 5, 5]],
        ['c', [16, 16, 3, 3]],
        ['gate', [1, 2, 7, 7]],
      ],
    ],
    [
      'four channels after it',
      [
        ['a', [4, 1, 3, 3]],
        ['b', [8, 4, 3, 3]],
      ],
    ],
    [
      'a squeeze to four',
      [
        ['a', [16, 1, 3, 3]],
        ['se.down', [4, 16, 1, 1]],
        ['se.up', [16, 4, 1, 1]],
      ],
    ],
  ] as [string, [string, number[]][]][])('%s', (_, layers) => {
    const kinds = convolutionsOf(
      layers.map(([name, shape]) => tensor(`${name}.weight`, shape)),
      torch,
    ).layers;
    expect(kinds[0].kind).toBe('conv');
  });
  test('where a layer sees colours, those of one channel are depthwise', () => {
    expect(
      found([tensor('blocks.weight', [32, 1, 3, 3]), tensor('stem.weight', [32, 3, 3, 3])])[0],
    ).toContain('depthwise');
  });
});

test('lists and dictionaries of parameters', () => {
  const tensors = [
    tensor('weights.0', [8, 3, 3, 3]),
    tensor('filters.edges', [16, 8, 3, 3]),
    tensor('vars.4', [16, 16, 3, 3]),
    tensor('vars.extra', [16, 16, 3, 3]),
  ];
  expect(found(tensors)).toEqual([
    'weights.0 conv 8,3,3,3',
    'filters.edges conv 16,8,3,3',
    'vars.4 conv 16,16,3,3',
  ]);
});

test('a refusal says which tensors there are and what to do', () => {
  const { advice } = convolutionsOf([tensor('fc.bias', [10]), tensor('fc.weight', [10, 16])], torch);
  expect(advice).toContain('the file holds 2 tensors: "fc.weight" [10,16], "fc.bias" [10]');
  expect(advice).toContain('four axes');
});
