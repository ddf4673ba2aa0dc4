// Whether stored arrays are the parameters of a prior, and kernels enough for one: both come from files, and what is
// wrong must not get far.
import { inputError } from '../errors.js';
import { type Arrays, kernelLength, type TrainingKernels } from './prior.js';

/** Root mean squares of kernels whose squares and their sums are still float32 numbers. */
const [SMALLEST, LARGEST] = [1e-12, 1e12];

/** An array that cannot be a parameter; the one who read it knows the file. */
export const badParameter = (why: string) => inputError(why, 'the prior folder is damaged: fit it again');

/**
 * The parameters of the given shapes, without any others.
 * @throws DwpError INPUT when one is missing or has another shape
 */
export function requireShapes(
  parameters: Arrays,
  shapes: Readonly<Record<string, readonly number[]>>,
): Arrays {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const found = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
      if (!found) throw badParameter(`${name} is missing`);
      if (`${found.shape}` !== `${shape}` || found.shape.length !== shape.length)
        throw badParameter(`${name} has shape [${found.shape}], expected [${shape}]`);
      return [name, found];
    }),
  );
}

/** @throws DwpError INPUT unless all values are above 0 */
export function requirePositive(name: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++)
    if (!(values[i] > 0)) throw badParameter(`${name} is ${values[i]}, it must be above 0`);
}

/** @throws DwpError INPUT when kernels say nothing of how kernels vary: fewer than three, or all the same */
export function requireSpread(kernels: TrainingKernels): void {
  const { data, count } = kernels;
  const d = kernelLength(kernels);
  if (count < 3)
    throw inputError(`${count} kernel${count === 1 ? '' : 's'}: too few to fit a prior`, 'give more kernels');
  if (data.every((x, i) => x === data[i % d]))
    throw inputError(`all ${count} kernels are the same: no prior can be fitted`, 'give kernels that differ');
  const size = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
  if (!(size >= SMALLEST && size <= LARGEST))
    throw inputError(
      `the root mean square of the kernels is ${size.toPrecision(2)}: densities are computed in float32, which ` +
        `needs ${SMALLEST} to ${LARGEST}`,
      'multiply the kernels by a constant',
    );
}
