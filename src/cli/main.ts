#!/usr/bin/env node
// Entry point: reads argv, runs one command, prints its result, maps errors to exit codes.
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import type { z } from 'zod';
import { type DwpError, escapeControls, inputError, messageOf, usageError } from '../errors.js';
import { readText } from '../formats/read-file.js';
import { systemError, writeError } from '../formats/write-errors.js';
import { type AnyCommand, type ArgumentDefinition, choicesOf, type OptionDefinition } from './command.js';
import { type CommandEntry, commands } from './commands/index.js';
import { terminalEffects } from './effects.js';
import { printable } from './printable.js';

const version: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version;

// A reader that has seen enough (`dwp … | head`) closes the pipe: that ends the output, not the work. Without stderr
// there is nobody to tell.
process.stderr.on('error', () => {});
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE' || resultLost) return;
  resultLost = true;
  complain(systemError(writeError('standard output', error)) ?? inputError(messageOf(error)));
});
let resultLost = false;
process.on('exit', () => {
  if (resultLost) process.exitCode ||= 3;
});

/** Help with the rare options of a command. */
const HELP_ALL = '--help-all';

/** Runs the command line and returns the exit code. */
export async function main(given: readonly string[]): Promise<number> {
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130); // a second Ctrl-C does not wait for the checkpoint
    process.stderr.write('\nstopping after this step; press Ctrl-C again to stop at once\n');
    abort.abort();
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  // A terminal that is closed may say so twice: that is no second Ctrl-C.
  process.on('SIGHUP', () => abort.abort());

  const showAll = given.includes(HELP_ALL);
  const argv = given.map((word) => (word === HELP_ALL ? '--help' : word));
  let debug = argv.includes('--debug');
  const program = new Command('dwp')
    .description(
      'Deep weight prior: learn from the kernels of pretrained CNNs, train a Bayesian CNN on little data.',
    )
    .version(version)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .showSuggestionAfterError()
    .addHelpText('after', '\nStart here:  dwp demo\nMore:        dwp <command> --help');
  const used = argv[0] === 'help' ? argv[1] : argv[0];
  for (const entry of commands) {
    const command = new Command(entry.name)
      .summary(entry.summary)
      .helpGroup(`${entry.group}:`)
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    program.addCommand(command);
    if (entry.name === used)
      complete(command, entry, await entry.load(), showAll, abort.signal, (d) => {
        debug = d;
      });
  }

  try {
    await program.parseAsync(argv as string[], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      // Without a command: what there is, at more length than an error.
      if (error.code === 'commander.help') process.stderr.write(program.helpInformation());
      else {
        const known = commands.find(({ name }) => name === argv[0])?.name;
        process.stderr.write(`${oneLine(error.message)} — see dwp ${known ? `${known} ` : ''}--help\n`);
      }
      return 2;
    }
    const known = systemError(error);
    if (known) {
      complain(known);
      if (debug) process.stderr.write(`${known.stack}\n`);
      return known.exitCode;
    }
    process.stderr.write(
      `bug: ${messageOf(error)} — this should not happen; please report it with the output of --debug\n`,
    );
    if (debug && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return 1;
  }
}

/** Gives the command that is used its arguments, options and action. */
function complete(
  command: Command,
  { summary }: CommandEntry,
  definition: AnyCommand,
  showAll: boolean,
  signal: AbortSignal,
  setDebug: (debug: boolean) => void,
): void {
  command.description([summary, definition.description].filter(Boolean).join('\n\n'));
  for (const argument of Object.values(definition.arguments))
    command.argument(argument.usage, argument.description);
  for (const { flags, description, schema, defaultText, group, rare } of Object.values(definition.options)) {
    const made = new Option(
      flags,
      optionText(description, choicesOf(schema), defaultText ?? defaultOf(schema)),
    );
    if (group) made.helpGroup(`${group}:`);
    command.addOption(made.hideHelp(rare === true && !showAll));
  }
  if (Object.values(definition.options).some(({ rare }) => rare) && !showAll)
    command.addOption(new Option(HELP_ALL, 'show the rare options, too'));
  command
    .configureHelp({
      optionDescription: ({ description, argChoices = [], defaultValue }) =>
        optionText(description, argChoices, defaultValue),
    })
    .addOption(
      new Option('--format <format>', 'table, or json for programs')
        .choices(['table', 'json'])
        .default('table'),
    )
    .option('--config <file.yaml>', 'file of options; the command line takes precedence')
    .option('-q, --quiet', 'show no progress and no messages')
    .option('-v, --verbose', 'show more messages')
    .option('--debug', 'show stack traces with errors')
    .addHelpText('after', `\nExamples:\n${definition.examples.map((line) => `  $ ${line}`).join('\n')}`)
    .action(async () => {
      const { format, config, quiet, verbose, debug, ...flags } = command.opts();
      setDebug(Boolean(debug));
      const given: Record<string, unknown> = {
        ...(config ? await readConfig(config, definition) : {}),
        ...flags,
      };
      Object.keys(definition.arguments).forEach((name, i) => {
        const value = command.processedArgs[i];
        if (value !== undefined && !(Array.isArray(value) && value.length === 0)) given[name] = value;
      });
      const input = validate(definition, given, config);
      const effects = terminalEffects(quiet ? 'quiet' : verbose ? 'verbose' : 'normal', signal);
      const result = await definition.run(input, effects);
      process.stdout.write(
        `${format === 'json' ? jsonText(result) : printable(definition.render(result))}\n`,
      );
    });
}

async function readConfig(path: string, definition: AnyCommand): Promise<Record<string, unknown>> {
  const { parse: parseYaml } = await import('yaml');
  let config: unknown;
  const text = readText(path);
  try {
    config = parseYaml(text);
  } catch (error) {
    throw usageError(`${path}: not valid YAML (${messageOf(error)})`, 'expected lines such as "steps: 100"');
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw usageError(`${path}: expected a mapping of options`, `see dwp ${definition.name} --help`);
  const options = (definition.fromFile?.(config as Record<string, unknown>) ?? config) as Record<
    string,
    unknown
  >;
  const known = [...Object.keys(definition.arguments), ...Object.keys(definition.options)];
  for (const key of Object.keys(options))
    if (!known.includes(key))
      throw usageError(`${path}: unknown option "${key}"`, `known: ${known.join(', ')}`);
  return options;
}

function validate(
  definition: AnyCommand,
  given: Record<string, unknown>,
  config?: string,
): Record<string, unknown> {
  const input: Record<string, unknown> = {};
  const all: Record<string, ArgumentDefinition | OptionDefinition> = {
    ...definition.arguments,
    ...definition.options,
  };
  for (const [name, { schema, ...shown }] of Object.entries(all)) {
    const label =
      'flags' in shown
        ? String(shown.flags)
            .split(/[ ,]+/)
            .find((word) => word.startsWith('--'))
        : shown.usage;
    for (const word of [given[name]].flat())
      if (typeof word === 'string' && (word === '' || word.includes('\0')))
        throw usageError(
          `${label} ${word === '' ? 'is empty' : 'holds a zero character'}`,
          `give it a value, or see dwp ${definition.name} --help`,
        );
    if ('checked' in shown && shown.checked === false) {
      if (given[name] !== undefined) input[name] = given[name];
      continue;
    }
    const parsed = schema.safeParse(given[name]);
    if (!parsed.success) {
      const missing = given[name] === undefined;
      const value = missing ? '' : ` ${JSON.stringify(given[name])}`;
      throw usageError(
        missing ? `${label} is required` : `${label}${value}: ${parsed.error.issues[0].message}`,
        `see dwp ${definition.name} --help${config ? ` and ${config}` : ''}`,
      );
    }
    input[name] = parsed.data;
  }
  return input;
}

/** `description (choices: a, b; default: a)`. A description that explains every choice by name needs no list of them. */
function optionText(description: string, choices: readonly string[], byDefault?: string): string {
  const words = description.split(/[^\w-]+/);
  const notes = [
    choices.every((choice) => words.includes(choice)) ? '' : `choices: ${choices.join(', ')}`,
    byDefault === undefined ? '' : `default: ${byDefault}`,
  ].filter(Boolean);
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}

function defaultOf(schema: z.ZodType): string | undefined {
  const parsed = schema.safeParse(undefined);
  if (!parsed.success || parsed.data === undefined || parsed.data === false) return undefined;
  return Array.isArray(parsed.data) ? parsed.data.join(' ') || undefined : String(parsed.data);
}

/** With what JSON itself leaves raw escaped, too: DEL, C1 controls, and marks that turn text around. */
const jsonText = (result: unknown) =>
  JSON.stringify(result, null, 2).split('\n').map(escapeControls).join('\n');

function complain({ message, hint }: DwpError): void {
  process.stderr.write(`error: ${oneLine(message)}${hint ? ` — ${oneLine(hint)}` : ''}\n`);
}

const oneLine = (text: string) => printable(text.replace(/\s+/g, ' '));

process.exitCode = await main(process.argv.slice(2));
