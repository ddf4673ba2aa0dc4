// What dwp inspect found → the page about kernels. The report room and its libraries are loaded only here.
import { saveFile } from '../formats/files.js';
import { compareGroups, compareSizes, type KernelGroup, powerSpectrum } from '../kernels/index.js';
import { type KernelsReport, type ReportGroup, renderKernelsReport } from '../report/kernels-report.js';
import { type Inspection, type NamedGroup, shortNames } from './inspection.js';

const SHOWN = 64;
const FREQUENCIES = 33;
/** In the title. */
const NAMED = 3;

export function writeInspectionReport(
  path: string,
  command: string,
  inspections: readonly Inspection[],
): void {
  const sizes = [...new Set(inspections.flatMap(({ all }) => [...all.keys()]))].sort(compareSizes);
  const names = shortNames(inspections);
  const report: KernelsReport = {
    title: `Kernels of ${names.slice(0, NAMED).join(', ')}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ''}`,
    generated: new Date().toISOString(),
    command,
    sizes: sizes.map((size) => {
      const [h, w] = size.split('x').map(Number);
      const places = groupsOf(size, inspections);
      const shift = places.compared && compareGroups(places.compared);
      return {
        h,
        w,
        ...(places.whole && { whole: reportGroup(places.whole) }),
        groups: places.shown.map(reportGroup),
        ...(shift && { shift }),
      };
    }),
    layers: inspections.flatMap(({ result }, i) =>
      result.kind === 'model'
        ? result.layers.map((layer) => ({
            ...layer,
            model: names[i],
            lagOne: layer.lagOne?.median ?? null,
          }))
        : [],
    ),
  };
  saveFile(path, renderKernelsReport(report));
}

/** Of several paths each as a whole; of one dataset its sources, and the whole beside them. */
function groupsOf(
  size: string,
  inspections: readonly Inspection[],
): { whole?: NamedGroup; shown: NamedGroup[]; compared?: NamedGroup[] } {
  const names = shortNames(inspections);
  const wholes = inspections.flatMap(({ all }, i) => {
    const group = all.get(size);
    return group ? [{ name: names[i], group }] : [];
  });
  if (inspections.length > 1) return { shown: wholes, compared: wholes };
  const sources = inspections[0].sources.get(size) ?? [];
  if (sources.length < 2) return { shown: sources.length === 1 ? sources : wholes };
  return { whole: { ...wholes[0], name: 'all together' }, shown: sources, compared: sources };
}

function reportGroup({ name, group }: NamedGroup): ReportGroup {
  const { quality, sample, kernels, orthogonality, looksLikeNoise } = group;
  return {
    name,
    kernels,
    sparsity: quality.sparsity,
    varianceEntropy: quality.varianceEntropy,
    orthogonality,
    lagOne: quality.lagOne?.median ?? null,
    looksLikeNoise,
    shown: evenlySpaced(sample),
    explainedVariance: quality.explainedVariance,
    ...(quality.directions && {
      power: powerSpectrum(quality.directions.mean, sample.h, sample.w, FREQUENCIES),
    }),
  };
}

function evenlySpaced({ data, count, h, w }: KernelGroup['sample']): number[][] {
  const n = Math.min(SHOWN, count);
  return Array.from({ length: n }, (_, i) => {
    const row = Math.floor((i * count) / n);
    return [...data.subarray(row * h * w, (row + 1) * h * w)];
  });
}
