// Fitted priors that come with the package: shipped-priors/, made by scripts/fit-shipped-priors.mjs.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { usageError } from '../errors.js';

const FOLDER = fileURLToPath(new URL('../../shipped-priors/', import.meta.url));
const PREFIX = 'shipped:';

/** Their names, `shipped:3x3-middle`, which stand wherever a prior's folder does. */
export const shippedPriors = (): string[] =>
  existsSync(FOLDER)
    ? readdirSync(FOLDER, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => `${PREFIX}${name}`)
        .sort()
    : [];

export const isShipped = (name: string): boolean => name.startsWith(PREFIX);

/**
 * The folder of a prior, which may be one that ships.
 * @throws DwpError USAGE when no prior of that name ships
 */
export function priorPath(name: string): string {
  if (!isShipped(name)) return name;
  if (!shippedPriors().includes(name))
    throw usageError(`no prior ${name}`, `those that ship are ${shippedPriors().join(', ')}`);
  return join(FOLDER, name.slice(PREFIX.length));
}
