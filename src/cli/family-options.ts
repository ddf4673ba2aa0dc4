// Options that are fields of a family's configuration: each family describes its own, with their defaults.
import { z } from 'zod';
import { usageError } from '../errors.js';
import type { PriorFamily } from '../priors/index.js';
import { choicesOf, type OptionDefinition, option } from './command.js';

/** A field of one family's configuration. */
interface Field {
  family: string;
  schema: z.ZodType;
}

/** `--latent-prior` for latentPrior. */
const flagOf = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** An option for every field of the families, by its name: families that share a name share the option. */
export function familyOptions(families: Iterable<PriorFamily>): Record<string, OptionDefinition> {
  const fields: Record<string, Field[]> = {};
  for (const { name: family, config } of families)
    for (const [name, schema] of Object.entries(config.shape))
      fields[name] = [...(fields[name] ?? []), { family, schema }];
  return Object.fromEntries(
    Object.entries(fields).map(([name, shared]) => {
      const value = shared.every(({ schema }) => choicesOf(schema).length > 0) ? 'name' : 'n';
      const description = grouped(shared, ({ schema }) => schema.description ?? '');
      const defaults = new Set(shared.map(defaultOf));
      const byDefault = defaults.size === 1 ? [...defaults][0] : grouped(shared, defaultOf);
      return [name, option(`${flagOf(name)} <${value}>`, description, schemaOf(shared), byDefault)];
    }),
  );
}

/** `mixture and vae: text; flow: other text`. */
function grouped(fields: readonly Field[], textOf: (field: Field) => string): string {
  const texts = new Map<string, string[]>();
  for (const field of fields) texts.set(textOf(field), [...(texts.get(textOf(field)) ?? []), field.family]);
  return [...texts].map(([text, families]) => `${families.join(' and ')}: ${text}`).join('; ');
}

const defaultOf = ({ schema }: Field): string => String(schema.parse(undefined));

/** Of one family its own; what several share is checked with the configuration of the family that is chosen. */
function schemaOf([{ schema }, ...others]: readonly Field[]): z.ZodType {
  const inner = schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : schema;
  return z.preprocess(spelled, others.length > 0 ? z.unknown().optional() : inner.optional());
}

/** A word of the shell as the value that it spells. */
function spelled(word: unknown): unknown {
  if (word === 'true' || word === 'false') return word === 'true';
  return typeof word === 'string' && word.trim() !== '' && Number.isFinite(Number(word))
    ? Number(word)
    : word;
}

/**
 * The whole configuration of a family.
 * @param given options of {@link familyOptions}; what is undefined has not been given
 * @throws DwpError USAGE for an option of other families, or a value that the family does not take
 */
export function familyConfig(
  family: Pick<PriorFamily, 'name' | 'config'>,
  given: Readonly<Record<string, unknown>>,
  families: Iterable<PriorFamily>,
): Record<string, unknown> {
  const fields = Object.entries(given).filter(([, value]) => value !== undefined);
  for (const [name] of fields) {
    if (Object.hasOwn(family.config.shape, name)) continue;
    const owners = [...families].filter(({ config }) => Object.hasOwn(config.shape, name));
    throw usageError(
      `${flagOf(name)} is an option of the family ${owners.map((owner) => owner.name).join(' or ')}, not of ${family.name}`,
      `leave it out, or choose another --family: see dwp fit-prior --help`,
    );
  }
  const parsed = family.config.safeParse(Object.fromEntries(fields));
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  const name = String(path[0]);
  throw usageError(
    `${flagOf(name)} ${JSON.stringify(given[name])} of the family ${family.name}: ${message}`,
    'see dwp fit-prior --help',
  );
}
