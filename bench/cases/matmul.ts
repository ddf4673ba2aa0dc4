// Chained products of 1024×1024 matrices: the rate that a step could reach at best on this machine.
import { type Engine, f32, foldIn, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import { type Case, type Prepared, WARM_UP } from '../case.js';
import { now } from '../clock.js';

const SIZE = 1024;
/** Products in one call, so that handing over inputs and outputs does not count. */
const CHAIN = 4;

async function prepare(engine: Engine): Promise<Prepared> {
  const matrix = (name: string) => {
    const array = f32([SIZE, SIZE]);
    new RandomStream(foldIn(seedKey(1), name)).fillNormal(array.data);
    for (let i = 0; i < array.data.length; i++) array.data[i] /= Math.sqrt(SIZE); // products keep their scale
    return array;
  };
  const inputs = { a: matrix('a'), b: matrix('b') };
  const step = await engine.compile(
    ({ a, b }) => {
      let product: tf.Tensor = b;
      for (let i = 0; i < CHAIN; i++) product = tf.matMul(a, product);
      return { sumOfSquares: tf.sum(tf.square(product)) };
    },
    { inputs },
  );
  const run = async () => (await step.run(inputs)).sumOfSquares.data[0];
  return {
    reference: { tensors: inputs, settings: { chain: CHAIN }, losses: [[await run()]] },
    async time(units) {
      for (let i = 0; i < WARM_UP; i++) await run();
      const started = now();
      for (let i = 0; i < units; i++) await run();
      return (now() - started) / units;
    },
    release: () => step.release(),
  };
}

export const matmul: Case = {
  name: 'matmul',
  title: `${CHAIN} products of ${SIZE}×${SIZE} matrices`,
  unit: 'call',
  peer: 'matmul',
  gflop: (2 * CHAIN * SIZE ** 3) / 1e9,
  prepare,
};
