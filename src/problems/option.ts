// What an option of a run is: a schema with its default, and what the command line and configuration files show of it.
import { z } from 'zod';

/** Headings of help and of config.yaml, in this order. */
export const GROUPS = ['data', 'network', 'prior', 'method', 'training', 'output'] as const;
export type OptionGroup = (typeof GROUPS)[number];

/** By their names in configurations: camelCase. */
export type Options = Readonly<Record<string, z.ZodType>>;
export type Settings<O extends Options> = z.infer<z.ZodObject<O>>;

interface Shown {
  /** In help; one sentence, with the default where the schema has none. */
  description: string;
  /** What stands behind the flag: `<n>`, `<paths...>`. */
  value: string;
  group: OptionGroup;
  /** Shown by --help-all alone. */
  rare?: boolean;
}

export const option = <S extends z.ZodType>(
  schema: S,
  group: OptionGroup,
  value: string,
  description: string,
  rare: 'rare' | '' = '',
): S => schema.meta({ description, group, value, rare: rare === 'rare' });

export const shownOf = (schema: z.ZodType): Shown => schema.meta() as unknown as Shown;

/** `--prior-path` of priorPath */
export const flagOf = (key: string): string =>
  `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Whole number in [min, max], from a shell word or a YAML value. */
export const whole = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z.coerce
    .number()
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);

/** Real number in [min, max]. */
export const real = (min: number, max: number) =>
  z.coerce.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);

/** One value, or a list of them. */
export const listOf = <S extends z.ZodType>(item: S) =>
  z.preprocess((v) => (v === undefined || Array.isArray(v) ? v : [v]), z.array(item));
