// The tables of dwp inspect.
import type { ComparedGroups, Dropped } from '../kernels/index.js';
import { batchNormText } from './batch-norms.js';
import type { DatasetResult, Measures, ModelResult } from './inspection.js';
import { table } from './table.js';

const QUALITY = ['sparse', 'entropy', 'orthogonal', 'lag-1'];

const LEGEND =
  'sparse: share of kernels with every |w| < 0.01 of the largest · entropy: 1 is noise, 0 one shape\n' +
  'orthogonal: 1 − mean |cosine| of filters · lag-1: median correlation of neighbours';

/** Shifts up to this many times chance are in brackets. */
const NO_SHIFT = 1.5;

const fixed = (value: number | null | undefined, digits = 3): string =>
  value === null || value === undefined ? '' : value.toFixed(digits).replace(/^-(?=[0.]+$)/, '');

const quality = ({ sparsity, varianceEntropy, orthogonality, lagOne }: Measures): string[] => [
  fixed(sparsity),
  fixed(varianceEntropy),
  fixed(orthogonality),
  fixed(lagOne?.median),
];

const unusable = ({ nonFinite, constant, nearZero, duplicate }: Dropped) =>
  nonFinite + constant + nearZero + duplicate;

export function modelText({
  path,
  format,
  producer,
  layers,
  sizes,
  skipped,
  notes,
  batchNorms,
  advice,
}: ModelResult): string {
  const blocks = [
    `${path}: ${format}${producer ? `, written by ${producer}` : ''}`,
    table(
      ['layer', 'kind', 'out × in', 'size', 'kernels', 'unusable', 'std', ...QUALITY, 'stored as'],
      layers.map((layer) => [
        layer.name,
        layer.kind,
        `${layer.shape[0]} × ${layer.shape[1]}`,
        layer.size,
        layer.kernels,
        layer.dropped ? unusable(layer.dropped) : '',
        Number(layer.std.toPrecision(3)),
        ...quality(layer),
        layer.dtype,
      ]),
    ),
  ];
  if (skipped.length > 0)
    blocks.push(
      table(
        ['skipped', 'reason'],
        skipped.map(({ layer, reason }) => [layer, reason]),
      ),
    );
  if (batchNorms) blocks.push(batchNormText(batchNorms));
  if (notes) blocks.push(notes.map((note) => `note: ${note}`).join('\n'));
  if (Object.keys(sizes).length === 0)
    return [...blocks, 'no 2-D convolutions with stored weights', ...(advice ? [advice] : [])].join('\n\n');
  blocks.push(
    remarked(
      ['size', 'layers', 'kernels', ...QUALITY],
      Object.entries(sizes).map(([size, group]) => [
        size,
        group.layers,
        group.kernels,
        ...quality(group),
        remark(group),
      ]),
    ),
    LEGEND,
  );
  return blocks.join('\n\n');
}

export function datasetText({ path, sizes, sources, shift }: DatasetResult): string {
  const blocks = [
    path,
    remarked(
      ['size', 'train', 'test', 'split by', 'mean', 'std', 'sparse', 'entropy', 'lag-1'],
      Object.entries(sizes).map(([size, group]) => [
        size,
        group.train,
        group.test,
        group.split,
        Number(group.mean.toPrecision(3)),
        Number(group.std.toPrecision(3)),
        ...withoutFilters(group),
        remark(group),
      ]),
    ),
  ];
  if (sources.length > 0)
    blocks.push(
      remarked(
        ['source', 'format', 'size', 'layers', 'kernels', 'sparse', 'entropy', 'lag-1', 'licence', 'sha256'],
        sources.flatMap(({ name, format, licence, sha256, sizes: sizesOfSource }) => {
          const about = [licence ?? '', sha256.slice(0, 12)];
          const groups = Object.entries(sizesOfSource);
          if (groups.length === 0) return [[name, format, '', 0, 0, '', '', '', ...about, '']];
          return groups.map(([size, group], i) => [
            i === 0 ? name : '',
            i === 0 ? format : '',
            size,
            group.layers,
            group.kernels,
            ...withoutFilters(group),
            ...(i === 0 ? about : ['', '']),
            remark(group),
          ]);
        }),
      ),
    );
  blocks.push(LEGEND);
  for (const [size, compared] of Object.entries(shift)) blocks.push(shiftText(size, 'sources', compared));
  return blocks.join('\n\n');
}

/** Larger matrices are for the report: here only their middle and their ends. */
const MOST_COLUMNS = 12;

/** A matrix with numbered columns. */
export function shiftText(size: string, what: string, compared: ComparedGroups): string {
  const { names, nats, chance } = compared;
  if (names.length > MOST_COLUMNS) return shiftSummary(size, what, compared);
  const matrix = table(
    ['', what, ...names.map((_, i) => String(i + 1))],
    nats.map((row, a) => [
      a + 1,
      names[a],
      ...row.map((value, b) => {
        if (a === b) return '–';
        return value <= NO_SHIFT * chance[a][b] ? `(${value.toFixed(2)})` : value.toFixed(2);
      }),
    ]),
  );
  return `distribution shift between ${what}, ${size}, nats (in brackets: not clearly more than chance)\n${matrix}`;
}

function shiftSummary(size: string, what: string, { names, nats }: ComparedGroups): string {
  const pairs = nats
    .flatMap((row, a) => row.slice(0, a).map((value, b) => ({ value, a, b })))
    .sort((p, q) => p.value - q.value);
  const [least, middle, most] = [pairs[0], pairs[Math.floor(pairs.length / 2)], pairs[pairs.length - 1]];
  const between = ({ value, a, b }: typeof least) => `${value.toFixed(2)} (${names[b]} and ${names[a]})`;
  return (
    `distribution shift between ${names.length} ${what}, ${size}, nats: from ${between(least)} over ` +
    `${middle.value.toFixed(2)} in the middle to ${between(most)}; all of them with --html or --format json`
  );
}

/** The filters of a dataset are not whole: slices have been dropped. */
const withoutFilters = (group: Measures): string[] => quality(group).filter((_, i) => i !== 2);

const remark = ({ looksLikeNoise }: { looksLikeNoise: boolean }): string =>
  looksLikeNoise ? 'looks like noise' : '';

/** A table whose last column, of remarks, is left out where there are none. */
function remarked(head: string[], rows: (string | number)[][]): string {
  if (rows.some((row) => row.at(-1) !== '')) return table([...head, ''], rows);
  return table(
    head,
    rows.map((row) => row.slice(0, -1)),
  );
}
