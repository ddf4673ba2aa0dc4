// How far the predictions of approximate posteriors are from those of Markov chains over the same network, data and prior:
// runs of `dwp compare`, split by split, against the method that is named; mean ± standard error over splits, as Markdown.
//
//   npm run build && node scripts/posterior-bias.mjs runs/mcmc hmc
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createEngine } from '../dist/engine/index.js';
import { classificationMetrics } from '../dist/evaluate/index.js';
import { methodOf } from '../dist/runs/config.js';
import { readRunConfig } from '../dist/runs/config-file.js';
import { readProblem } from '../dist/runs/run.js';
import { readSummary } from '../dist/runs/summary.js';

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const deviation = (values) =>
  Math.sqrt(values.reduce((sum, x) => sum + (x - mean(values)) ** 2, 0) / (values.length - 1));

/** Mean predictive distributions [n, classes] of even draws, of odd ones (which are other chains), and of all. */
async function predictive(run) {
  const config = readRunConfig(run);
  const problem = readProblem(run, config);
  const engine = await createEngine(config.engine, config.threads, config.device);
  const { judged } = problem;
  const { draws } = methodOf(config).predictions({ config, folder: run, problem, engine, hooks: {} });
  const halves = [0, 1].map(() => new Float64Array(judged.count * judged.classes));
  let count = 0;
  for await (const probabilities of draws) {
    const half = halves[count++ % 2];
    for (let i = 0; i < half.length; i++) half[i] += probabilities[i];
  }
  const sizes = [Math.ceil(count / 2), Math.floor(count / 2)];
  const all = halves[0].map((p, i) => (p + halves[1][i]) / count);
  const parts = halves.map((half, h) => half.map((p) => p / sizes[h]));
  return { labels: judged.labels, classes: judged.classes, halves: parts, all };
}

/** Means over images of f of their distributions p and q. */
const overImages = (p, q, classes, f) =>
  mean(
    Array.from({ length: p.length / classes }, (_, i) =>
      f(p.subarray(i * classes, (i + 1) * classes), q.subarray(i * classes, (i + 1) * classes)),
    ),
  );
/** ½ Σ_c |p_c − q_c| */
const totalVariation = (p, q) => p.reduce((sum, x, c) => sum + Math.abs(x - q[c]) / 2, 0);
/** KL(p‖q), nats */
const divergence = (p, q) =>
  p.reduce((sum, x, c) => (x > 0 ? sum + x * Math.log(x / Math.max(q[c], 2 ** -126)) : sum), 0);
const agrees = (p, q) => (p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q)) ? 1 : 0);

/** Worst R̂ and least effective draws of what the chains of a run computed. */
function mixing({ chains }) {
  if (!chains) return {};
  const worst = Math.max(...chains.functions.map(({ rHat }) => rHat));
  const draws = Math.min(...chains.functions.map(({ effectiveSampleSize }) => effectiveSampleSize));
  return { rHat: worst, draws };
}

const [folder, reference] = process.argv.slice(2);
if (!folder || !reference) {
  console.error(
    'usage: node scripts/posterior-bias.mjs <folder of dwp compare> <method, as its runs are named>',
  );
  process.exit(2);
}
const runs = join(folder, 'runs');
const methods = new Map();
for (const name of readdirSync(runs)) {
  const [, method, problem] = /^(.*)-(\d+-\d+)$/.exec(name) ?? [];
  if (method) methods.set(method, [...(methods.get(method) ?? []), problem]);
}
const references = new Map();
for (const problem of methods.get(reference) ?? [])
  references.set(problem, await predictive(join(runs, `${reference}-${problem}`)));

const spread = (values, digits) => {
  const found = values.filter(Number.isFinite);
  if (found.length === 0) return '';
  const error = found.length > 1 ? ` ± ${(deviation(found) / Math.sqrt(found.length)).toFixed(digits)}` : '';
  return mean(found).toFixed(digits) + error;
};
console.log(
  `| method | total variation from ${reference} | KL(${reference} ‖ method), nats | same class (%) | accuracy (%) | NLL | between halves of its draws | largest R̂ | least effective draws | s |`,
);
console.log('|--|--|--|--|--|--|--|--|--|--|');
for (const [method, problems] of methods) {
  const rows = [];
  for (const problem of problems.filter((problem) => references.has(problem))) {
    const run = join(runs, `${method}-${problem}`);
    const summary = readSummary(run);
    const other = references.get(problem);
    const { labels, classes, halves, all } = method === reference ? other : await predictive(run);
    const { accuracy, nll } = classificationMetrics(all, labels, classes);
    const same = method === reference;
    rows.push({
      apart: same ? Number.NaN : overImages(other.all, all, classes, totalVariation),
      kl: same ? Number.NaN : overImages(other.all, all, classes, divergence),
      agreement: same ? Number.NaN : 100 * overImages(other.all, all, classes, agrees),
      own: overImages(halves[0], halves[1], classes, totalVariation),
      ...{ accuracy: 100 * accuracy, nll, seconds: summary.seconds, ...mixing(summary) },
    });
  }
  const of = (name, digits) =>
    spread(
      rows.map((row) => row[name] ?? Number.NaN),
      digits,
    );
  const cells = [of('apart', 3), of('kl', 3), of('agreement', 1), of('accuracy', 1), of('nll', 3)];
  const worst = rows.map(({ rHat }) => rHat).filter(Number.isFinite);
  const least = rows.map(({ draws }) => draws).filter(Number.isFinite);
  const chains = worst.length > 0 ? [Math.max(...worst).toFixed(3), Math.min(...least).toFixed(0)] : ['', ''];
  console.log(`| ${[`\`${method}\``, ...cells, of('own', 3), ...chains, of('seconds', 0)].join(' | ')} |`);
}
