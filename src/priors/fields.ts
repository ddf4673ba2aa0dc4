// Fields of a family's configuration: their values are typed on the command line, too, and their errors are read there.
import { z } from 'zod';

/** A whole number in [min, max]. */
export const wholeNumber = (min: number, max: number) =>
  z
    .number('must be a number')
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);

/** A whole number in [min, max], or a word that means another way to find it. */
export const wholeNumberOr = <W extends string>(word: W, min: number, max: number) =>
  z.union(
    [z.literal(word), wholeNumber(min, max)],
    `must be ${word}, or a whole number from ${min} to ${max}`,
  );

/** A number above 0. */
export const positiveNumber = (max = Number.MAX_VALUE) =>
  z.number('must be a number').positive('must be above 0').max(max, `must be at most ${max}`);

/** A number above 0, or a word that means another way to find it. */
export const positiveNumberOr = <W extends string>(word: W) =>
  z.union([z.literal(word), positiveNumber()], `must be ${word}, or a number above 0`);
