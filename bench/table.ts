// Results as Markdown.
import type { CaseResult } from './run-case.js';
import type { StartResult } from './start.js';

const PEER_TITLES: Record<string, string> = { torch: 'PyTorch', jax: 'JAX' };

/** Share of the CPUs in others' use from which on a note is made. */
const NOTICED = 0.1;

const digits = (x: number) => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));

/** Best rate of anybody in the matrix products, 10⁹ operations per second; undefined when they were not run. */
export function attainableRate(results: readonly CaseResult[]): number | undefined {
  const products = results.find(({ name }) => name === 'matmul');
  return products && Math.max(...Object.values(products.ms).map((ms) => products.gflop / (ms / 1e3)));
}

/** The peer with the smallest median. */
export const fasterPeer = ({ ms }: CaseResult): string | undefined =>
  Object.keys(ms)
    .filter((who) => who !== 'dwp')
    .sort((a, b) => ms[a] - ms[b])[0];

function row(result: CaseResult, peers: readonly string[], attainable: number | undefined): string[] {
  const { title, unit, ms, ratios, gflop, target } = result;
  const rate = gflop / (ms.dwp / 1e3);
  const faster = fasterPeer(result);
  const ratio = faster && ratios[faster];
  return [
    `${title}, per ${unit}`,
    digits(ms.dwp),
    ...peers.map((peer) => (ms[peer] === undefined ? 'n/a' : digits(ms[peer]))),
    ratio ? `${ratio.ratio.toFixed(2)} (${ratio.range.map((r) => r.toFixed(2)).join('–')})` : '',
    target === undefined ? '' : `≤ ${target}`,
    digits(gflop),
    attainable === undefined ? digits(rate) : `${digits(rate)} (${Math.round((100 * rate) / attainable)}%)`,
  ];
}

const markdown = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, header.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');

/** A table of cases, one of process starts, and a note if others used the CPUs; each left out when empty. */
export function toMarkdown(
  results: readonly CaseResult[],
  peers: readonly string[],
  starts: readonly StartResult[],
): string {
  const attainable = attainableRate(results);
  const header = [
    'case',
    'dwp, ms',
    ...peers.map((peer) => `${PEER_TITLES[peer]}, ms`),
    'dwp / faster peer (range)',
    'target',
    'GFLOP',
    `GFLOP/s${attainable === undefined ? '' : ` (of ${digits(attainable)})`}`,
  ];
  const tables: string[] = [];
  if (results.length > 0)
    tables.push(
      markdown(
        header,
        results.map((result) => row(result, peers, attainable)),
      ),
    );
  if (starts.length > 0)
    tables.push(
      markdown(
        ['process start', 'ms', 'range', 'target'],
        starts.map(({ command, ms, range, target }) => [
          `\`${command}\``,
          digits(ms),
          range.map(digits).join('–'),
          `≤ ${target}`,
        ]),
      ),
    );
  const busy = results.filter((result) => result.busy > NOTICED);
  if (busy.length > 0)
    tables.push(
      `Rough: other processes were using the CPUs (${busy.map((r) => `${r.name} ${Math.round(100 * r.busy)}%`).join(', ')}).`,
    );
  return tables.join('\n\n');
}
