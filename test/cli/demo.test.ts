// The demo as a process, as far as it goes quickly: its first commands are given what they take.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

test('inspects, collects, and begins to fit; Ctrl-C ends it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dwp-demo-test-'));
  try {
    const child = execa(process.execPath, [MAIN, 'demo', '--out', join(folder, 'demo')], { reject: false });
    let seen = '';
    child.stderr.on('data', (chunk) => {
      seen += chunk;
      if (seen.includes('3. Fit a prior of 7x7')) child.kill('SIGINT');
    });
    const { exitCode, stderr } = await child;
    expect(stderr).toContain('v3'); // a layer of the inspected network
    expect(stderr).toMatch(/written to .*kernels/);
    expect(exitCode, stderr).toBe(130);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
