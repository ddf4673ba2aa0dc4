// What a command is: plain data (arguments, options, examples), a run function, and a way to show its result.
import { z } from 'zod';
import type { Effects } from './effects.js';

export interface OptionDefinition<S extends z.ZodType = z.ZodType> {
  /** As commander reads it: `--size <kxk...>`, `-n, --count <n>`, `--resume`. */
  flags: string;
  description: string;
  /** Validates what the shell (strings) or a configuration file (YAML values) gave; holds the default. */
  schema: S;
  /** Shown in --help where the default is not a plain value of the schema. */
  defaultText?: string;
  /** Heading in --help. */
  group?: string;
  /** Shown by --help-all alone. */
  rare?: boolean;
  /** `false` where the command itself checks what was given, and fills in defaults. */
  checked?: boolean;
}

export interface ArgumentDefinition<S extends z.ZodType = z.ZodType> {
  /** `<model>`, `[run]` or, for a list, `<models...>`. */
  usage: string;
  description: string;
  schema: S;
}

type Inputs<D extends Record<string, { schema: z.ZodType }>> = { [K in keyof D]: z.output<D[K]['schema']> };

export interface Command<
  A extends Record<string, ArgumentDefinition>,
  O extends Record<string, OptionDefinition>,
  R,
> {
  name: string;
  /** More to know, shown in --help below the summary of commands/index.ts. */
  description?: string;
  arguments: A;
  options: O;
  /** Real command lines, shown in --help. */
  examples: readonly string[];
  /** From what a --config file holds to options by name, where that is more than they. */
  fromFile?(raw: Record<string, unknown>): Record<string, unknown>;
  run(input: Inputs<A> & Inputs<O>, effects: Effects): Promise<R>;
  /** The result for a person; with `--format json` the result itself is printed. */
  render(result: R): string;
}

/** A command whose own option types have been forgotten: what the command line works with. */
export interface AnyCommand {
  name: string;
  description?: string;
  arguments: Record<string, ArgumentDefinition>;
  options: Record<string, OptionDefinition>;
  examples: readonly string[];
  fromFile?(raw: Record<string, unknown>): Record<string, unknown>;
  run(input: Record<string, unknown>, effects: Effects): Promise<unknown>;
  render(result: unknown): string;
}

/** Identity that infers the types of a command from its arguments, options and result. */
export const defineCommand = <
  A extends Record<string, ArgumentDefinition>,
  O extends Record<string, OptionDefinition>,
  R,
>(
  command: Command<A, O, R>,
): AnyCommand => command as unknown as AnyCommand;

export const option = <S extends z.ZodType>(
  flags: string,
  description: string,
  schema: S,
  defaultText?: string,
): OptionDefinition<S> => ({ flags, description, schema, defaultText });

export const argument = <S extends z.ZodType>(
  usage: string,
  description: string,
  schema: S,
): ArgumentDefinition<S> => ({ usage, description, schema });

/** Whole number in [min, max], from a shell word or a YAML value. */
export const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z.coerce
    .number()
    .int(`must be a whole number`)
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);

/** Real number in [min, max]. */
export const real = (min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY) =>
  z.coerce.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);

/** The words that an option may have, where its schema lists them; of a list, those of each item. */
export function choicesOf(schema: z.ZodType): readonly string[] {
  if (schema instanceof z.ZodEnum) return schema.options.map(String);
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional)
    return choicesOf(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodPipe) return choicesOf(schema.out as z.ZodType);
  if (schema instanceof z.ZodArray) return choicesOf(schema.element as z.ZodType);
  return [];
}

/** One word or a list of them → a list. */
export const list = <S extends z.ZodType>(item: S) =>
  z.preprocess((value) => (value === undefined || Array.isArray(value) ? value : [value]), z.array(item));
