// Runs the built command line as a real process.
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** @returns what a shell would see; never throws for an exit code */
export async function dwp(
  ...args: string[]
): Promise<{ code: number | undefined; out: string; err: string }> {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [MAIN, ...args], { reject: false });
  return { code: exitCode, out: stdout, err: stderr };
}
