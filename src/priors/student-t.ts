// Student's t with a full scale matrix: a normal whose width varies from kernel to kernel, so that its tails are heavy.
import { z } from 'zod';
import { f32, foldIn, RandomStream } from '../engine/index.js';
import { wholeNumberOr } from './fields.js';
import { mixtureNumbers, storedComponents } from './mixture/components.js';
import { meanLogDensity } from './mixture/em.js';
import { fitByProducts } from './mixture/em-products.js';
import { mixturePrior } from './mixture/exact.js';
import { LONGEST_QUICK } from './mixture/fit.js';
import { chooseRidge } from './mixture/ridge.js';
import { take } from './mixture/take.js';
import { requireShapes } from './parameters.js';
import { kernelLength, type PriorFamily } from './prior.js';

const config = z.object({
  tails: wholeNumberOr('auto', 1, 1000)
    .default('auto')
    .describe(
      'degrees of freedom; fewer give heavier tails; auto means the number that is best on a tenth of the kernels',
    ),
});
type Config = z.infer<typeof config>;

const CANDIDATES = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100];
const options = (dof: number, ridge: number) => ({ components: 1, dof, shrinkage: 0, ridge, iterations: 60 });

export const studentT: PriorFamily<Config> = {
  name: 'student-t',
  summary: "Student's t with a full scale matrix, which has heavy tails",
  automatic: (kernels) => (kernelLength(kernels) <= LONGEST_QUICK ? {} : undefined),
  config,
  compared: [{ name: 'student-t', label: "Student's t", config: {} }],
  fit: {
    kind: 'iterative',
    async parameters(kernels, { tails }, key, { engine, tick }) {
      const stream = new RandomStream(foldIn(key, 'order'));
      const all = { ...kernels, size: kernelLength(kernels) };
      const points = take(all, stream.permutation(all.count).subarray(0, 20_000));
      const held = Math.max(1, Math.round(0.1 * points.count));
      const order = stream.permutation(points.count);
      const [test, train] = [take(points, order.subarray(0, held)), take(points, order.subarray(held))];
      const ridge = chooseRidge(points, new RandomStream(foldIn(key, 'ridge')));
      let best = { dof: tails === 'auto' ? CANDIDATES[0] : tails, value: Number.NEGATIVE_INFINITY };
      for (const dof of tails === 'auto' ? CANDIDATES : []) {
        const value = meanLogDensity(
          test,
          await fitByProducts(train, options(dof, ridge), stream, engine),
          dof,
        );
        await tick(`${dof} degrees of freedom: ${value.toFixed(2)} nats on held-out kernels`);
        if (value > best.value) best = { dof, value };
      }
      const components = await fitByProducts(points, options(best.dof, ridge), stream, engine);
      return { ...storedComponents(components), dof: f32([], Float32Array.of(best.dof)) };
    },
  },
  prior(size, config, given) {
    const { dof } = requireShapes(given, { dof: [] });
    const whole = Math.min(1000, Math.max(1, Math.round(dof.data[0])));
    const prior = mixturePrior('student-t', size, config, given, whole, false);
    return { ...prior, parameters: { ...prior.parameters, dof } };
  },
  freeNumbers: (_size, _config, parameters) => mixtureNumbers(parameters) + 1,
};
