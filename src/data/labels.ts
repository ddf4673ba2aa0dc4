// What is odd about the classes of a dataset: it can be meant, and rarely is.
import type { ImageSet } from './dataset.js';

/** @returns lines to warn with; none where every class occurs */
export function labelWarnings({ labels, classes }: ImageSet): string[] {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const seen = [...counts.keys()].sort((a, b) => a - b);
  if (seen.length === 1)
    return [
      `all ${labels.length} training images are of class ${seen[0]}: a network learns nothing from one class`,
    ];
  if (seen.length === classes) return [];
  const rarest = seen.reduce((a, b) => (counts.get(b)! < counts.get(a)! ? b : a));
  return [
    `the training labels go to ${seen.at(-1)}, but only ${seen.length} classes of ${classes} occur (label ${rarest} ` +
      `${counts.get(rarest)} times): the network has ${classes} outputs. Check the labels, or number them from 0`,
  ];
}
