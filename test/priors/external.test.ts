// Operators of imported graphs against what ONNX defines, and graphs that were made to exhaust whoever runs them.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  createEngine,
  type Engine,
  f32,
  type NdArray,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import {
  type Program,
  type ProgramNode,
  programSchema,
  runProgram,
} from '../../src/priors/external/program.js';
import type { Tensors } from '../../src/priors/index.js';
import { runOn } from '../engine/reference.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

type Nodes = [op: string, inputs: string[], outputs: string[], attributes?: ProgramNode['attributes']][];
const program = (nodes: Nodes, integers: Record<string, number[]> = {}): Program =>
  programSchema.parse({
    inputs: { w: 'x' },
    outputs: { y: 'y' },
    weights: {},
    integers: Object.fromEntries(
      Object.entries(integers).map(([name, list]) => [name, { shape: [list.length], integers: list }]),
    ),
    nodes: nodes.map(([op, inputs, outputs, attributes = {}], i) => ({
      op,
      name: `n${i}`,
      inputs,
      outputs,
      attributes,
    })),
  });
const run = async (of: Program, x: NdArray): Promise<NdArray> =>
  (
    (await runOn(engine, ({ x }: Tensors) => ({ y: tf.add(runProgram('graph', of, { w: x }, {}).y, 0) }), {
      x,
    } as never)) as unknown as { y: NdArray }
  ).y;
const x = f32([2, 3], Float32Array.of(-2, -0.5, 0, 0.5, 1, 3));

describe('operators', () => {
  const near = (y: NdArray, shape: number[], values: number[]) => {
    expect(y.shape).toEqual(shape);
    values.forEach((value, i) => {
      expect(y.data[i]).toBeCloseTo(value, 5);
    });
  };
  test.each<[string, Record<string, number | string>, (x: number) => number]>([
    ['Elu', { alpha: 0.5 }, (x) => (x > 0 ? x : 0.5 * (Math.exp(x) - 1))],
    ['LeakyRelu', {}, (x) => (x > 0 ? x : 0.01 * x)],
    ['Selu', {}, (x) => 1.0507 * (x > 0 ? x : 1.6732632 * (Math.exp(x) - 1))],
    ['Softplus', {}, (x) => Math.log1p(Math.exp(x))],
    [
      'Gelu',
      { approximate: 'tanh' },
      (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    ],
    ['Clip', { min: -1, max: 0.75 }, (x) => Math.min(0.75, Math.max(-1, x))],
  ])('%s %j', async (op, attributes, of) => {
    near(await run(program([[op, ['x'], ['y'], attributes]]), x), [2, 3], Array.from(x.data, of));
  });

  test('a shape that is computed: [n, 3] → [n · 3 / 3, 1, 3]', async () => {
    const of = program(
      [
        ['Shape', ['x'], ['s']],
        ['Gather', ['s', 'zero'], ['n'], { axis: 0 }],
        ['Concat', ['n', 'one', 'rest'], ['t'], { axis: 0 }],
        ['Reshape', ['x', 't'], ['y']],
      ],
      { zero: [0], one: [1], rest: [-1] },
    );
    near(await run(of, x), [2, 1, 3], Array.from(x.data));
  });

  test('a split into one has a gradient', async () => {
    const of = program([['Split', ['x'], ['y'], { axis: 1 }]]);
    const { gradient } = (await runOn(
      engine,
      ({ x }: Tensors) => {
        const { gradients } = valueAndGradients(
          ({ x }: Tensors) => ({
            objective: tf.sum(tf.square(runProgram('graph', of, { w: x }, {}).y)) as tf.Scalar,
            aux: {},
          }),
          { x },
        );
        return { gradient: gradients.x };
      },
      { x } as never,
    )) as unknown as { gradient: NdArray };
    near(
      gradient,
      [2, 3],
      Array.from(x.data, (value) => 2 * value),
    );
  });

  test('slices count from the end, splits divide, sums keep axes', async () => {
    const of = program(
      [
        ['Slice', ['x', 'from', 'to', 'axis'], ['s']],
        ['Split', ['s'], ['a', 'b'], { axis: 1 }],
        ['Sub', ['a', 'b'], ['d']],
        ['ReduceSum', ['d', 'first'], ['y'], { keepdims: 1 }],
      ],
      { from: [-2], to: [9_007_199_254_740_991], axis: [1], first: [0] },
    );
    near(await run(of, x), [1, 1], [-0.5 - 0 + 1 - 3]);
  });

  test('a transposed convolution with pads and output padding', async () => {
    const of = program(
      [
        ['Reshape', ['x', 'image'], ['i']],
        ['ConvTranspose', ['i', 'k'], ['y'], { strides: [1, 2], pads: [0, 1, 0, 0], output_padding: [0, 1] }],
        ['Reshape', ['line', 'filter'], ['unused']],
      ],
      { image: [2, 1, 1, 3], filter: [1, 1, 1, 2], line: [1, 10] },
    );
    of.nodes.unshift({ op: 'Cast', name: 'f', inputs: ['line'], outputs: ['floats'], attributes: { to: 1 } });
    of.nodes.splice(1, 0, {
      op: 'Reshape',
      name: 'r',
      inputs: ['floats', 'filter'],
      outputs: ['k'],
      attributes: {},
    });
    // each value paints [v, 10 v], without the first column, and one empty column more
    near(await run(of, x), [2, 1, 1, 6], [-20, -0.5, -5, 0, 0, 0, 5, 1, 10, 3, 30, 0]);
  });
});

test.each<[string, Nodes, RegExp]>([
  [
    'lists that double',
    Array.from({ length: 40 }, (_, i): Nodes[number] => [
      'Concat',
      [`l${i}`, `l${i}`],
      [`l${i + 1}`],
      { axis: 0 },
    ]),
    /n15" \(Concat\): a result of shape \[131072\] is too large/,
  ],
  [
    'tensors that double',
    [
      ['Identity', ['x'], ['t0']],
      ...Array.from({ length: 40 }, (_, i): Nodes[number] => [
        'Concat',
        [`t${i}`, `t${i}`],
        [`t${i + 1}`],
        { axis: 0 },
      ]),
    ],
    /\(Concat\): a result of shape .* is too large/,
  ],
  ['a fill of a petabyte', [['ConstantOfShape', ['huge'], ['y']]], /ConstantOfShape\): a shape of/],
  ['a negative reshape', [['Reshape', ['x', 'odd'], ['y']]], /has no shape/],
  ['an axis that is not there', [['Concat', ['x', 'x'], ['y'], { axis: 7 }]], /axis 7 of 2/],
  ['a missing input', [['Add', ['x', ''], ['y']]], /an input is missing/],
  ['an attribute of another type', [['Elu', ['x'], ['y'], { alpha: 'one' }]], /alpha is of another type/],
])('%s: refused', async (_, nodes, message) => {
  const of = program([...nodes, ['Identity', ['x'], ['y']]], {
    l0: [1, 2],
    huge: [1e6, 1e6, 1e3],
    odd: [-3, -2],
  });
  await expect(run(of, x)).rejects.toThrow(message);
});
