// Which family a fit takes where none is named.
import { beforeAll, expect, test } from 'vitest';
import { choiceText } from '../../src/cli/commands/fit-prior.js';
import { createEngine, type Engine, RandomStream, seedKey } from '../../src/engine/index.js';
import type { Kernels } from '../../src/kernels/index.js';
import { chooseFamily } from '../../src/prior-folders/choose-family.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

/** Kernels of 2×2, of the deviation that `scale` gives each, neighbours correlated by `common`. */
function kernelsOf(count: number, common: number, scale: (i: number) => number = () => 0.1): Kernels {
  const stream = new RandomStream(seedKey(900));
  const data = new Float32Array(4 * count);
  for (let i = 0; i < count; i++) {
    const shared = common * stream.normal();
    for (let j = 0; j < 4; j++) data[4 * i + j] = scale(i) * (shared + stream.normal());
  }
  return { h: 2, w: 2, count, data };
}
const choose = (kernels: Kernels) => chooseFamily(kernels, engine, seedKey(901));

test('white noise gets the plainest family: what richer ones gain is chance', async () => {
  const { family, trials, folds } = await choose(kernelsOf(600, 0));
  expect(family.name).toBe('normal');
  expect(folds).toBe(1);
  expect(trials.find((trial) => trial.family === 'normal')!.behind).toBe(0);
  expect(trials.map(({ nats }) => nats)).toEqual([...trials.map(({ nats }) => nats)].sort((a, b) => b - a));
});

test('correlated pixels get a covariance, two scales of kernels a density with tails', async () => {
  expect((await choose(kernelsOf(1000, 2))).family.name).toMatch(/^(gaussian|correlated)$/);
  const { family, trials } = await choose(kernelsOf(1000, 2, (i) => (i % 3 === 0 ? 0.6 : 0.05)));
  expect(family.name).toMatch(/^(mixture|scale-mixture)$/);
  const gaussian = trials.find((trial) => trial.family === 'gaussian')!;
  expect(gaussian.behind).toBeGreaterThan(5 * gaussian.standardError);
});

test('of few kernels each is held out once; of three only what has a closed form is tried', async () => {
  const few = await choose(kernelsOf(50, 2));
  expect(few).toMatchObject({ heldOut: 50, folds: 5 });
  const three = await choose(kernelsOf(3, 2));
  expect(three).toMatchObject({ heldOut: 3, folds: 3 });
  expect(three.skipped.map(({ family }) => family)).toContain('mixture');
});

test('the choice is said with what it gains, or that a gain was chance', () => {
  const trials = [
    { family: 'mixture', nats: 12.1, behind: -0.1, standardError: 0.2 },
    { family: 'gaussian', nats: 12, behind: 0, standardError: 0 },
    { family: 'normal', nats: 4, behind: 8, standardError: 0.5 },
  ];
  expect(choiceText('gaussian', { heldOut: 142, folds: 1, trials, skipped: [] })).toBe(
    'Family: gaussian, chosen on 142 train kernels held out; beside it, in nats per kernel: mixture +0.1 ± 0.2, not by more than chance, normal −8.0 ± 0.5.',
  );
});
