// How far the predictions of variational posteriors are from those of Markov chains over the same network, data and
// prior: accuracy, NLL, and the total variation of the predictive distributions, averaged over the judged images.
//
//   npm run build && node scripts/posterior-bias.mjs runs/hmc runs/mean-field …     (the first is the reference)
import { createEngine, foldIn } from '../dist/engine/index.js';
import { predictions } from '../dist/evaluate/index.js';
import { drawsOfChains } from '../dist/experiment/chains.js';
import { readCheckpoint } from '../dist/experiment/checkpoint.js';
import { prepare } from '../dist/experiment/problem.js';
import { readRunConfig } from '../dist/experiment/run.js';
import { isSampler } from '../dist/train/sample-network.js';

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** Mean predictive distributions [n, classes] of even draws, of odd ones (the two chains of a reference), and of all. */
async function predictive(run) {
  const config = readRunConfig(run);
  const problem = prepare(config);
  const engine = await createEngine(config.engine, config.threads, config.device);
  const { model, judged, key } = problem;
  const draws = isSampler(config.posterior)
    ? drawsOfChains(run, problem, config.samples, engine).draws
    : predictions(
        model,
        readCheckpoint(run, model).parameters,
        judged,
        config.samples,
        engine,
        foldIn(key, 'predict'),
      );
  const halves = [0, 1].map(() => new Float64Array(judged.count * judged.classes));
  let count = 0;
  for await (const probabilities of draws) {
    const half = halves[count++ % 2];
    for (let i = 0; i < half.length; i++) half[i] += probabilities[i] / (config.samples / 2);
  }
  const { labels, classes } = judged;
  return { name: run, labels, classes, halves, all: halves[0].map((p, i) => (p + halves[1][i]) / 2) };
}

/** ½ Σ_c |p_c − q_c| of each image. */
const totalVariation = (p, q, classes) =>
  Array.from({ length: p.length / classes }, (_, i) => {
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.abs(p[i * classes + c] - q[i * classes + c]) / 2;
    return sum;
  });

const runs = process.argv.slice(2);
const reference = await predictive(runs[0]);
console.log(
  '| run | accuracy | NLL | total variation from the reference | between halves of its own draws |',
);
console.log('|--|--|--|--|--|');
for (const [i, run] of runs.entries()) {
  const { name, labels, classes, halves, all } = i === 0 ? reference : await predictive(run);
  const right = Array.from(labels, (y, n) => {
    const p = all.subarray(n * classes, (n + 1) * classes);
    return p.indexOf(Math.max(...p)) === y ? 1 : 0;
  });
  const nll = mean(Array.from(labels, (y, n) => -Math.log(Math.max(all[n * classes + y], 2 ** -126))));
  const apart = mean(totalVariation(all, reference.all, classes)).toFixed(3);
  const own = mean(totalVariation(halves[0], halves[1], classes)).toFixed(3);
  console.log(
    `| ${name} | ${(100 * mean(right)).toFixed(1)} % | ${nll.toFixed(3)} | ${i === 0 ? '' : apart} | ${own} |`,
  );
}
