// Archives of packages, by the user's own npm or pip: they know proxies, mirrors and certificates. Nothing of a package
// is installed or run: npm only packs what the registry has, and pip only takes wheels, whose contents are plain files.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DwpError, inputError } from '../errors.js';
import type { Source } from './catalogue.js';

/** Programs that may be there, in the order in which they are tried. */
type Commands = readonly (readonly [program: string, ...args: string[]])[];

const WINDOWS = process.platform === 'win32';

const NPM: Commands = [['npm', 'pack', '--silent', '--ignore-scripts']];
const DOWNLOAD = ['download', '--quiet', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check'];
const PIP: Commands = [
  ['pip', ...DOWNLOAD],
  ['pip3', ...DOWNLOAD],
  ['python3', '-m', 'pip', ...DOWNLOAD],
  ['python', '-m', 'pip', ...DOWNLOAD],
];

/**
 * Puts the archive of a package into an empty folder.
 *
 * @returns path of the archive: a .tgz of npm, a .whl of PyPI
 * @throws DwpError INPUT when npm or pip is missing or fails; INTERRUPTED
 */
export async function downloadArchive(
  { registry, package: name, version }: Source,
  folder: string,
  signal?: AbortSignal,
): Promise<string> {
  const [commands, spec, ending] =
    registry === 'npm'
      ? ([NPM, `${name}@${version}`, '.tgz'] as const)
      : ([PIP, `${name}==${version}`, '.whl'] as const);
  await runFirst(commands, spec, folder, signal);
  const archive = readdirSync(folder).find((file) => file.endsWith(ending));
  if (!archive)
    throw inputError(
      `${commands[0][0]} wrote no ${ending} file for ${spec}`,
      `run it yourself: ${shown(commands[0], spec)}`,
    );
  return join(folder, archive);
}

const shown = (command: Commands[number], spec: string) => [...command, spec].join(' ');

async function runFirst(commands: Commands, spec: string, cwd: string, signal?: AbortSignal): Promise<void> {
  for (const command of commands) {
    const ended = await run(command, spec, cwd, signal);
    if (ended === 'missing') continue;
    if (signal?.aborted) throw new DwpError('INTERRUPTED', 'stopped while packages were fetched');
    if (ended.code === 0) return;
    const lines = ended.text.split('\n').filter((line) => line.trim() !== '');
    const why = lines.find((line) => /error|ERR!/i.test(line)) ?? lines.at(-1) ?? `exit code ${ended.code}`;
    throw inputError(
      `${command[0]} failed: ${why.trim().slice(0, 300)}`,
      `run it yourself: ${shown(command, spec)}`,
    );
  }
  throw inputError(
    `${commands.map(([program]) => program).join(', ')}: not found on the PATH`,
    commands === NPM ? 'install npm' : 'install Python 3 with pip',
  );
}

/** What is kept of what a program says. */
const MOST_TEXT = 20_000;

/** @returns `missing` when there is no such program */
function run(
  [program, ...args]: Commands[number],
  spec: string,
  cwd: string,
  signal?: AbortSignal,
): Promise<'missing' | { code: number | null; text: string }> {
  return new Promise((resolve, reject) => {
    // npm is a script on Windows, which only a shell starts; the catalogue lets no special characters into `spec`
    const child = spawn(program, [...args, spec], { cwd, shell: WINDOWS, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const keep = (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-MOST_TEXT);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const stop = () => child.kill();
    signal?.addEventListener('abort', stop, { once: true });
    const settled = () => signal?.removeEventListener('abort', stop);
    child.on('error', (error: NodeJS.ErrnoException) => {
      settled();
      if (error.code === 'ENOENT') resolve('missing');
      else reject(inputError(`${program} cannot be started (${error.message})`, undefined, error));
    });
    child.on('close', (code) => {
      settled();
      resolve({ code, text });
    });
  });
}
