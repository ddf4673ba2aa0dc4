// The tensors of a file without a 2-D convolution, for the message that says why nothing was taken.
import { sizeOf } from '../formats/shape.js';
import { shown } from '../formats/source.js';

const NAMED = 4;

/** How many there are, and the largest of them with their shapes. */
export function seenTensors(tensors: readonly { name: string; shape: readonly number[] }[]): string {
  if (tensors.length === 0) return 'the file holds no tensors';
  const size = ({ shape }: { shape: readonly number[] }) => sizeOf(shape);
  const largest = [...tensors].sort((a, b) => size(b) - size(a)).slice(0, NAMED);
  const named = largest.map(({ name, shape }) => `${shown(name)} [${shape}]`).join(', ');
  if (tensors.length === 1) return `the file holds one tensor: ${named}`;
  return `the file holds ${tensors.length} tensors${tensors.length > NAMED ? `, the largest: ${named}` : `: ${named}`}`;
}
