// Puts onnxruntime-node into build/onnxruntime, without its install script. That script downloads a CUDA library from
// a host of its own, and would stop the installation of this package where only the npm registry can be reached.
import {
  copyFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const folderOf = (name) => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
const source = folderOf('onnxruntime-node');
const target = 'build/onnxruntime';
const { name, version, license, repository } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
const card = `${JSON.stringify({ name, version, license, repository, type: 'commonjs' }, null, 2)}\n`;

/** A hard link where the file system has them, as the libraries are 240 MB. */
function linkOrCopy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

function bundle() {
  const draft = `${target}.${process.pid}.tmp`;
  rmSync(draft, { recursive: true, force: true });
  cpSync(join(source, 'dist'), join(draft, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.map'),
  });
  cpSync(join(source, 'bin'), join(draft, 'bin'), {
    recursive: true,
    filter: (from, to) => {
      if (!/\.(node|dll|dylib)$|\.so\.\d+$/.test(from)) return true;
      // The library for macOS is there under two names; the binding loads the shorter one.
      if (!from.endsWith(`.${version}.dylib`)) linkOrCopy(from, to);
      return false;
    },
  });
  // onnxruntime-node comes without a licence file. Its licence is MIT, copyright Microsoft, as that of @types/node.
  copyFileSync(join(folderOf('@types/node'), 'LICENSE'), join(draft, 'LICENSE'));
  writeFileSync(join(draft, 'package.json'), card);
  rmSync(target, { recursive: true, force: true });
  renameSync(draft, target);
}

let written = '';
try {
  written = readFileSync(join(target, 'package.json'), 'utf8');
} catch {}
if (written !== card) bundle();
