// Configurations as YAML: options stand under the headings of dwp train --help. Flat ones are read, too.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseYaml, stringify as stringifyYaml } from 'yaml';
import { DwpError, inputError, messageOf, usageError } from '../errors.js';
import { writeFileAtomic } from '../formats/files.js';
import { readJson, readText } from '../formats/read-file.js';
import { GROUPS, shownOf } from '../problems/option.js';
import { DENSE_START } from '../train/train-network.js';
import { parseRunConfig, type RunConfig, relevant, runOptions } from './config.js';
import { withPresentNames } from './earlier-names.js';

type Settings = Record<string, unknown>;

/** What has the name of its heading is called `name` below it: `method: {name: point}`. */
const NAME = 'name';

const isMapping = (value: unknown): value is Settings =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Settings without headings.
 * @throws DwpError USAGE where one stands twice
 */
export function withoutHeadings(raw: Readonly<Settings>): Settings {
  const flat: Settings = {};
  for (const [key, value] of Object.entries(raw)) {
    const heading = GROUPS.some((group) => group === key) && isMapping(value);
    const below = heading
      ? Object.entries(value).map(([name, x]) => [name === NAME ? key : name, x] as const)
      : [[key, value] as const];
    for (const [name, setting] of below) {
      if (Object.hasOwn(flat, name)) throw usageError(`${name} is given twice`, 'leave one of them out');
      flat[name] = setting;
    }
  }
  return flat;
}

/** Settings under the headings of their options; unknown ones stay where they are. */
export function withHeadings(flat: Readonly<Settings>): Settings {
  const options = runOptions();
  const grouped: Record<string, Settings> = {};
  for (const group of GROUPS) {
    const settings = Object.entries(flat).filter(
      ([key, value]) => value !== undefined && key in options && shownOf(options[key]).group === group,
    );
    // the name first, as one looks for it there
    settings.sort(([a], [b]) => Number(b === group) - Number(a === group));
    if (settings.length > 0)
      grouped[group] = Object.fromEntries(
        settings.map(([key, value]) => [key === group ? NAME : key, value]),
      );
  }
  return grouped;
}

/**
 * Settings of a file that a person gives: with headings or flat, and where no method is said, those that the method has
 * which the others imply, as in files of earlier versions.
 */
export function settingsOfFile(raw: Readonly<Settings>): Settings {
  const settings = withoutHeadings(raw);
  if ('method' in settings) return settings;
  const present = withPresentNames(settings);
  const options = new Set(Object.keys(runOptions()));
  const others = Object.fromEntries(Object.entries(settings).filter(([key]) => !options.has(key)));
  return { ...relevant(present), ...others };
}

const CONFIG = 'config.yaml';

export const writeRunConfig = (folder: string, config: RunConfig): void =>
  writeFileAtomic(join(folder, CONFIG), stringifyYaml(withHeadings(config)));

/** @throws DwpError INPUT when the folder holds no run or its configuration is not valid */
export function readRunConfig(folder: string): RunConfig {
  const path = join(folder, CONFIG);
  if (!existsSync(path))
    throw inputError(`${folder} is not a run folder: it has no config.yaml`, 'runs are made by dwp train');
  const settings = readSettings(path);
  requireUnchanged(folder, path, settings);
  try {
    const nameOf = (key: string) => key;
    return 'method' in settings
      ? parseRunConfig(settings, { nameOf })
      : parseRunConfig({}, { nameOf, base: ofEarlierVersion(settings) });
  } catch (error) {
    if (error instanceof DwpError)
      throw inputError(`${path}: ${error.message}`, 'restore what dwp train wrote');
    throw error;
  }
}

function readSettings(path: string): Settings {
  let raw: unknown;
  try {
    raw = parseYaml(readText(path));
  } catch (error) {
    if (error instanceof DwpError) throw error;
    throw inputError(`${path}: not valid YAML (${messageOf(error)})`, 'restore what dwp train wrote');
  }
  if (!isMapping(raw)) throw inputError(`${path}: it holds no options`, 'restore what dwp train wrote');
  try {
    return withoutHeadings(raw);
  } catch (error) {
    throw inputError(`${path}: ${messageOf(error)}`, 'restore what dwp train wrote');
  }
}

/** Before runs could have components they had one, and classifiers started at Glorot's normal, then at a tenth of it. */
const ofEarlierVersion = (settings: Settings): Settings =>
  settings.components === undefined
    ? { ...settings, components: 1, denseStart: 1 }
    : { ...settings, denseStart: settings.denseStart ?? DENSE_START };

/** What may differ between two stretches of a run. */
const INDECISIVE: ReadonlySet<string> = new Set(['threads', 'device', 'checkpointEvery']);

/** What decides the result of a run. */
export const decisive = (config: Readonly<Settings>): Settings =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !INDECISIVE.has(key)));

/** sha256 of what decides the result of a run, as it stands in config.yaml: comments, order and headings do not matter. */
export const configurationHash = (folder: string): string => hashOf(readSettings(join(folder, CONFIG)));

function hashOf(settings: Settings): string {
  const sorted = Object.entries(decisive(settings)).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex');
}

/** Files that say with which configuration a run began, or had finished; those of earlier versions do not. */
const RECORDS = ['summary.json', 'environment.json'];

/** @throws DwpError INPUT where what decides the result is not what the run began with */
function requireUnchanged(folder: string, path: string, settings: Settings): void {
  for (const record of RECORDS.map((name) => join(folder, name)).filter(existsSync)) {
    const { configuration } = Object(readJson(record)) as { configuration?: unknown };
    if (configuration !== undefined && configuration !== hashOf(settings))
      throw inputError(
        `${path} was changed after the run had begun`,
        'restore what dwp train wrote, or train again with the new configuration',
      );
  }
}
