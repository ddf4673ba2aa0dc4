// Everything that decides a run: the options of every run (problems/options.ts) and those of its method (src/methods).
import { z } from 'zod';
import { type DwpError, usageError } from '../errors.js';
import { type Method, methodNamed, methods } from '../methods/index.js';
import { readNetwork } from '../problems/network-file.js';
import { flagOf, type Options, option } from '../problems/option.js';
import {
  imageOptions,
  machineOptions,
  networkOptions,
  type ProblemConfig,
  priorOptions,
  problemOptions,
} from '../problems/options.js';
import { withPresentNames } from './earlier-names.js';

/** Options of every run, and under their names those of its method. */
export type RunConfig = ProblemConfig & { method: string } & Readonly<Record<string, unknown>>;

/** What a configuration is checked against: a method, or what stands for one. */
export type Configurable = Pick<Method, 'name' | 'priors' | 'options'>;

export interface ParseOptions {
  known?: ReadonlyMap<string, Configurable>;
  /** Settings that several methods share: what a method has no option for is passed over. */
  base?: Readonly<Record<string, unknown>>;
  /** How errors call an option: `--prior-path` where nothing is said. */
  nameOf?(key: string): string;
  /** Hears of names of earlier versions. */
  note?(line: string): void;
}

export const methodOption = () =>
  option(
    z.enum([...methods.keys()]).optional(),
    'method',
    '<name>',
    `how the weights are learned: ${[...methods.values()].map(({ name, summary }) => `${name} (${summary})`).join(', ')} ` +
      '(default: variational, or point with --prior none)',
  );

/**
 * A whole configuration of what was given, with every default.
 * @throws DwpError USAGE for a value that an option cannot have, and for options of other methods
 */
export function parseRunConfig(
  given: Readonly<Record<string, unknown>>,
  options: ParseOptions = {},
): RunConfig {
  const { known = methods, base = {}, nameOf = flagOf, note } = options;
  const own = withPresentNames(given, note);
  const shared = withPresentNames(base, note);
  const method = chooseMethod(known, { ...shared, ...own }, nameOf);
  const shape = shapeOf(method);
  const implied = !('method' in own) && !('method' in shared) && method !== [...known.values()][0];
  for (const key of Object.keys(own))
    if (!(key in shape)) {
      const wrong = notAnOption(key, method, known, nameOf);
      // who wrote --prior none may not have thought of a method: as in earlier versions, the rest is of no effect
      if (!implied || methodsWith(key, known).length === 0) throw wrong;
      note?.(`${nameOf(key)} has no effect with ${nameOf('prior')} ${own.prior ?? shared.prior}`);
    }
  for (const key of Object.keys(shared))
    if (!(key in shape) && !(key in runOptions())) throw notAnOption(key, method, known, nameOf);
  const settings = Object.fromEntries(Object.entries({ ...shared, ...own }).filter(([key]) => key in shape));
  const parsed = z.object(shape).safeParse({ prior: method.priors[0], ...settings, method: method.name });
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues;
    const key = String(path[0]);
    throw usageError(
      `${nameOf(key)} ${JSON.stringify(settings[key])}: ${path.length > 1 ? `${path.slice(1).join('.')}: ` : ''}${message}`,
      'see dwp train --help',
    );
  }
  const config = parsed.data as unknown as RunConfig;
  if (!method.priors.includes(config.prior))
    throw usageError(
      `${nameOf('prior')} ${config.prior} cannot be used with ${nameOf('method')} ${method.name}`,
      `choose ${nameOf('prior')} ${method.priors.join(' or ')}, or another method`,
    );
  return config;
}

/** Of settings of several methods, those that are for the one that they name or imply. */
export function relevant(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const shape = shapeOf(chooseMethod(methods, settings, flagOf));
  return Object.fromEntries(Object.entries(settings).filter(([key]) => key in shape));
}

/** The method that was named, or the first one for the prior that was. */
function chooseMethod(
  known: ReadonlyMap<string, Configurable>,
  { method, prior }: Readonly<Record<string, unknown>>,
  nameOf: (key: string) => string,
): Configurable {
  const all = [...known.values()];
  if (method === undefined) return all.find(({ priors }) => priors.some((each) => each === prior)) ?? all[0];
  const found = known.get(String(method));
  if (found) return found;
  throw usageError(
    `${nameOf('method')} ${JSON.stringify(method)}: must be one of ${[...known.keys()].join(', ')}`,
    'see dwp train --help',
  );
}

const shapeOf = ({ name, options }: Configurable) => ({
  ...problemOptions,
  ...options,
  method: z.literal(name),
});

const methodsWith = (key: string, known: ReadonlyMap<string, Configurable>): string[] =>
  [...known.values()].filter((method) => key in shapeOf(method)).map(({ name }) => name);

function notAnOption(
  key: string,
  { name }: Configurable,
  known: ReadonlyMap<string, Configurable>,
  nameOf: (key: string) => string,
): DwpError {
  const others = methodsWith(key, known);
  const option = nameOf(key);
  return others.length > 0
    ? usageError(
        `${option} cannot be used with ${nameOf('method')} ${name}: it is an option of ${others.join(' and ')}`,
        'leave one of them out',
      )
    : usageError(`unknown option ${option}`, 'see dwp train --help-all');
}

/** All options of all methods by name, the method itself among them: what a command line offers. */
export function runOptions(): Options {
  const own = Object.assign({}, ...[...methods.values()].reverse().map(({ options }) => options));
  return {
    ...{ ...imageOptions, ...networkOptions, ...priorOptions },
    method: methodOption(),
    ...own,
    ...machineOptions,
  };
}

export const methodOf = ({ method }: Pick<RunConfig, 'method'>): Method<RunConfig> =>
  methodNamed(method) as unknown as Method<RunConfig>;

/**
 * Nothing is left to a default, or to a file of a network, that might be another one later.
 * @throws DwpError where the file describes no network
 */
export const withDefaults = (config: RunConfig): RunConfig => ({
  ...methodOf(config).complete(config),
  arch: readNetwork(config.arch),
});

/** @throws DwpError USAGE where a run has not come to its end */
export function requireFinished(run: string, config: RunConfig): void {
  const method = methodOf(config);
  const [done, steps] = [method.stepsDone(run, config) ?? 0, method.steps(config)];
  if (done < steps)
    throw usageError(
      `${run} has stopped at step ${done} of ${steps}`,
      `continue it with dwp train --resume ${run}`,
    );
}
