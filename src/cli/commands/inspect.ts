// dwp inspect: what is in models and kernel datasets, how good their kernels are, and how far apart.
import { z } from 'zod';
import { refuseExisting } from '../../formats/files.js';
import { type ComparedGroups, compareGroups, compareSizes, type SizeText } from '../../kernels/index.js';
import { argument, defineCommand, list, option } from '../command.js';
import {
  type DatasetResult,
  type Inspection,
  inspectPath,
  type ModelResult,
  shortNames,
} from '../inspection.js';
import { datasetText, modelText, shiftText } from '../inspection-text.js';

/** Of several paths, with the shifts between them by size. */
interface SeveralResult {
  kind: 'several';
  of: (ModelResult | DatasetResult)[];
  shift: Record<SizeText, ComparedGroups>;
}

type Result = (ModelResult | DatasetResult | SeveralResult) & { html?: string };

export const inspect = defineCommand({
  name: 'inspect',
  description:
    'Shows layers, numbers of kernels and quality measures. For a dataset, it shows them for each source and size, with ' +
    'the distribution shift between the sources. For several paths, it also shows the shift between the paths. It warns ' +
    'if kernels look like white noise.',
  arguments: {
    paths: argument(
      '<model-or-dataset...>',
      'model files, dataset folders, or .npy files of kernels or weights',
      list(z.string()),
    ),
  },
  options: {
    foldBn: option(
      '--fold-bn',
      'multiply each batch normalisation into the kernels of the convolution before it, if the file says which one that is',
      z.boolean().default(false),
    ),
    html: option(
      '--html <report.html>',
      'HTML page with figures of kernels, spectra and shifts to write; must not exist yet',
      z.string().optional(),
    ),
  },
  examples: [
    'dwp inspect model.onnx',
    'dwp inspect kernels --html kernels.html',
    'dwp inspect kernels other-kernels kernels-7x7.npy --format json',
  ],
  run: async ({ paths, html, foldBn }, effects): Promise<Result> => {
    if (html !== undefined) refuseExisting(html);
    const inspections: Inspection[] = [];
    for (const path of paths) inspections.push(await inspectPath(path, effects, { foldBatchNorm: foldBn }));
    const result = resultOf(inspections);
    if (html === undefined) return result;
    const { writeInspectionReport } = await import('../inspection-report.js');
    writeInspectionReport(html, `dwp inspect ${paths.join(' ')} --html ${html}`, inspections);
    return { ...result, html };
  },
  render: (result) =>
    [
      ...(result.kind === 'several' ? result.of.map(text) : [text(result)]),
      ...(result.kind === 'several'
        ? Object.entries(result.shift).map(([size, shift]) => shiftText(size, 'paths', shift))
        : []),
      ...(result.html === undefined ? [] : [`report written to ${result.html}`]),
    ].join('\n\n'),
});

const text = (result: ModelResult | DatasetResult) =>
  result.kind === 'model' ? modelText(result) : datasetText(result);

function resultOf(inspections: readonly Inspection[]): Result {
  if (inspections.length === 1) {
    const [{ result, sources }] = inspections;
    if (result.kind === 'dataset')
      for (const [size, groups] of sources) {
        const shift = compareGroups(groups);
        if (shift) result.shift[size] = shift;
      }
    return result;
  }
  const names = shortNames(inspections);
  const shift: SeveralResult['shift'] = {};
  for (const size of sizesOf(inspections)) {
    const compared = compareGroups(
      inspections.flatMap(({ all }, i) => {
        const group = all.get(size);
        return group ? [{ name: names[i], group }] : [];
      }),
    );
    if (compared) shift[size] = compared;
  }
  return { kind: 'several', of: inspections.map(({ result }) => result), shift };
}

const sizesOf = (inspections: readonly Inspection[]): SizeText[] =>
  [...new Set(inspections.flatMap(({ all }) => [...all.keys()]))].sort(compareSizes);
