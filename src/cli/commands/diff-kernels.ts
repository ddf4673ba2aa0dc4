// dwp diff-kernels: what two kernel datasets have in common, and what one has alone.
import { z } from 'zod';
import { type DatasetDifference, diffDatasets, letThrough, openStored } from '../../kernels/index.js';
import { argument, defineCommand } from '../command.js';
import { table } from '../table.js';

interface DiffResult extends DatasetDifference {
  first: string;
  second: string;
}

const SHOWN = 20;

export const diffKernels = defineCommand({
  name: 'diff-kernels',
  description:
    'Sources are compared by the sha256 of their files, layers by their source and name, and kernels by hashes of their values.',
  arguments: {
    first: argument('<first>', 'folder of dwp collect-kernels', z.string()),
    second: argument('<second>', 'folder to compare it with', z.string()),
  },
  options: {},
  examples: ['dwp diff-kernels kernels kernels-new', 'dwp diff-kernels kernels kernels-new --format json'],
  run: async ({ first, second }, effects): Promise<DiffResult> => {
    const a = openStored(first);
    try {
      const b = openStored(second);
      try {
        return { first, second, ...(await diffDatasets(a, b, () => letThrough(effects.signal))) };
      } finally {
        b.close();
      }
    } finally {
      a.close();
    }
  },
  render: ({ first, second, sources, layers, kernels }) => {
    const blocks = [
      table(
        ['different kernels', first, second, 'in both'],
        Object.entries(kernels).map(([size, counts]) => [size, counts.first, counts.second, counts.common]),
      ),
      `sources: ${sources.common} in both; layers: ${layers.same} the same`,
    ];
    const differences = [
      ...sources.onlyFirst.map((name) => [`only in ${first}`, name, '', '']),
      ...sources.onlySecond.map((name) => [`only in ${second}`, name, '', '']),
      ...layers.onlyFirst.map(({ source, layer, size }) => [`only in ${first}`, source, layer, size]),
      ...layers.onlySecond.map(({ source, layer, size }) => [`only in ${second}`, source, layer, size]),
      ...layers.changed.map(({ source, layer, size, first: a, second: b }) => [
        ...[a === b ? 'other kernels' : `${a} and ${b} kernels`, source, layer, size],
      ]),
    ];
    if (differences.length > 0)
      blocks.push(table(['difference', 'source', 'layer', 'size'], differences.slice(0, SHOWN)));
    if (differences.length > SHOWN) blocks.push(`… and ${differences.length - SHOWN} more: --format json`);
    return blocks.join('\n\n');
  },
});
