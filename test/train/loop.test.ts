// The loop of everything that is trained by gradients: its stages, what it yields, and how it ends.
import { describe, expect, test } from 'vitest';
import { f32, type NdArray, spec, tf } from '../../src/engine/index.js';
import { DwpError } from '../../src/errors.js';
import { type Descent, descend } from '../../src/train/loop.js';
import { engines } from '../engine/reference.js';

interface Vectors {
  x: NdArray;
}
interface Given {
  factor: NdArray;
}
interface Results {
  value: NdArray;
}

/** A step in plain numbers, x ← factor · x + 1, that notes what happens to it. */
function counting(options: { stageOf?(t: number): unknown; value?(x: number): number } = {}) {
  const events: string[] = [];
  const set = (x: number) => {
    const vectors = { x: f32([], Float32Array.of(x)) };
    return { vectors, state: vectors.x.data };
  };
  const results = { value: f32([]) };
  const compile = async (t: number) => {
    events.push(`compile ${t}`);
    return {
      step: {
        async run({ x, factor }: Vectors & Given, into: Vectors & Results) {
          into.x.data[0] = factor.data[0] * x.data[0] + 1;
          into.value.data[0] = options.value?.(into.x.data[0]) ?? into.x.data[0];
        },
        async release() {
          events.push(`release ${t}`);
        },
      },
    };
  };
  const descent = {
    buffers: [set(0), set(0)] as const,
    from: 0,
    to: 4,
    compile,
    given: () => ({ factor: f32([], Float32Array.of(2)) }),
    results,
    objective: { name: 'bound', values: () => results.value.data },
    ...(options.stageOf && { stageOf: options.stageOf }),
  };
  return { descent, events };
}

/** What is yielded, by value: the arrays are written again. */
async function collect(descent: Parameters<typeof descend>[0]): Promise<[step: number, x: number][]> {
  const seen: [number, number][] = [];
  for await (const { step, state } of descend(descent)) seen.push([step, (state as ArrayLike<number>)[0]]);
  return seen;
}

const failure = async (descent: Parameters<typeof descend>[0]): Promise<DwpError> => {
  const error = await collect(descent).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DwpError);
  return error as DwpError;
};

describe('steps', () => {
  test('each reads what the one before wrote, in the one of two buffers that is free', async () => {
    const { descent, events } = counting();
    expect(await collect(descent as never)).toEqual([
      [1, 1],
      [2, 3],
      [3, 7],
      [4, 15],
    ]);
    expect(events).toEqual(['compile 1', 'release 1']);
  });

  test('from a later step it goes on with the first buffer; where all is done nothing is compiled', async () => {
    const { descent, events } = counting();
    descent.buffers[0].vectors.x.data[0] = 7;
    expect(await collect({ ...descent, from: 3 } as never)).toEqual([[4, 15]]);
    expect(events).toEqual(['compile 4', 'release 4']);
    expect(await collect({ ...descent, from: 4 } as never)).toEqual([]);
    expect(events).toHaveLength(2);
  });

  test('several in a run: it is given for the first of them and yields after the last', async () => {
    const { descent } = counting();
    const first: number[] = [];
    const given = (t: number) => {
      first.push(t);
      return descent.given();
    };
    const steps = await collect({ ...descent, stepsPerRun: 2, given } as never);
    expect(first).toEqual([1, 3]);
    expect(steps.map(([step]) => step)).toEqual([2, 4]);
  });

  test('whoever leaves the loop early has the step released', async () => {
    const { descent, events } = counting();
    for await (const { step } of descend(descent as never)) if (step === 2) break;
    expect(events).toEqual(['compile 1', 'release 1']);
  });
});

describe('stages', () => {
  test('the step is compiled anew where the stage changes, after the old one is released', async () => {
    const { descent, events } = counting({ stageOf: (t) => Math.floor((t - 1) / 2) });
    expect((await collect(descent as never)).map(([, x]) => x)).toEqual([1, 3, 7, 15]);
    expect(events).toEqual(['compile 1', 'release 1', 'compile 3', 'release 3']);
  });

  test('where compiling the next stage fails, the old step is released once', async () => {
    const { descent, events } = counting({ stageOf: (t) => t });
    const compile = async (t: number) => {
      if (t === 2) throw new Error('no memory');
      return descent.compile(t);
    };
    await expect(collect({ ...descent, compile } as never)).rejects.toThrow('no memory');
    expect(events).toEqual(['compile 1', 'release 1']);
  });
});

describe('divergence', () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'an objective of %d ends with exit code 4, the step and a remedy; its state is not yielded',
    async (bad) => {
      const { descent, events } = counting({ value: (x) => (x > 5 ? bad : x) });
      const seen: number[] = [];
      const error = await (async () => {
        for await (const { step } of descend({ ...descent, subject: 'component 2' } as never))
          seen.push(step);
      })().catch((thrown: DwpError) => thrown);
      expect(error).toMatchObject({ code: 'DIVERGED', exitCode: 4 });
      expect((error as DwpError).message).toBe(`component 2, step 3: the bound became ${bad}`);
      expect((error as DwpError).hint).toContain('--learning-rate');
      expect(seen).toEqual([1, 2]);
      expect(events).toEqual(['compile 1', 'release 1']);
    },
  );

  test('without an objective nothing is looked at', async () => {
    const { descent } = counting({ value: () => Number.NaN });
    expect(await collect({ ...descent, objective: undefined } as never)).toHaveLength(4);
  });
});

describe('on both engines', () => {
  const compileOn = async (
    engine: Awaited<ReturnType<typeof engines>>['native'],
    body: (x: tf.Tensor) => tf.Tensor,
  ) => {
    const step = await engine.compile(({ x }) => ({ x: body(x), value: tf.add(x, 0) }), {
      inputs: { x: spec([]) },
    });
    const set = () => {
      const vectors = { x: f32([], Float32Array.of(1)) };
      return { vectors, state: vectors.x.data };
    };
    return {
      buffers: [set(), set()] as const,
      from: 0,
      to: 50,
      compile: async () => ({ step }),
      given: () => ({}),
      results: { value: f32([]) },
    } as unknown as Descent<Vectors, Float32Array, object, Results, never>;
  };

  test.each(['native', 'cpu'] as const)(
    '%s: an abort is heard between steps, exit code 130',
    async (name) => {
      const engine = (await engines())[name];
      const descent = await compileOn(engine, (x) => tf.mul(x, 0.5));
      const controller = new AbortController();
      setImmediate(() => setImmediate(() => controller.abort())); // as a signal handler: between two steps
      const error = await failure({
        ...descent,
        signal: controller.signal,
        whenInterrupted: 'go on with --resume',
      } as never);
      expect(error).toMatchObject({ code: 'INTERRUPTED', exitCode: 130, hint: 'go on with --resume' });
      const [, step] = /^interrupted after step (\d+)$/.exec(error.message)!;
      expect(Number(step)).toBeLessThan(50);
    },
  );

  test.each(['native', 'cpu'] as const)('%s: an abort before the first step runs none', async (name) => {
    const descent = await compileOn((await engines())[name], (x) => tf.mul(x, 0.5));
    const error = await failure({ ...descent, signal: AbortSignal.abort() } as never);
    expect(error.message).toBe('interrupted after step 0');
  });

  test.each(['native', 'cpu'] as const)('%s: NaN in what a step gives is a divergence', async (name) => {
    const descent = await compileOn((await engines())[name], (x) => tf.log(tf.sub(x, 2)));
    const error = await failure({ ...descent, subject: 'component 1' } as never);
    expect(error).toMatchObject({ code: 'DIVERGED', exitCode: 4 });
    expect(error.message).toMatch(/^component 1, step 1: /);
  });
});
