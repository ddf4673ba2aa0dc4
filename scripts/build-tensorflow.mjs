// Builds @tensorflow/tfjs-node without its install script, for `npm run test:tensorflow` on Linux x86-64: that script
// downloads libtensorflow from one host only, and PyPI's wheel `tensorflow-cpu` has the same libraries and C headers.
// The package's own C++ sources are compiled, unchanged, against them. Needs python3 with pip, g++, npm, 1.1 GB.
//
//   node scripts/build-tensorflow.mjs [--tensorflow 2.18.1] [--cache <folder>]
//
// What is built is kept in the cache (default: below the temporary folder), and linked into node_modules, where
// --engine tensorflow finds it. `rm node_modules/@tensorflow/tfjs-node` takes it away again.
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const PACKAGE = '@tensorflow/tfjs-node';
const VERSION = '4.22.0';
/** Node's interface to native code is stable: its headers come from npm, and one binary serves Node 20, 22 and 24. */
const NODE_HEADERS = 'node-api-headers@1.9.0';
/** The newest version of that interface which the package knows; it looks for its binary in a folder of this name. */
const NODE_API = 8;

/** The shared libraries, the C headers and what these include: `tensorflow/` in the current folder. */
const UNPACK = `
import glob, re, zipfile
wheel = zipfile.ZipFile(glob.glob('wheel/*.whl')[0])
wanted = re.compile(r'tensorflow/(libtensorflow_\\w+[.]so[.]2$|include/(tensorflow|tsl|xla)/(.*/)?(c/|ctstring))')
wheel.extractall('.', [name for name in wheel.namelist() if wanted.match(name)])
`;

const { values: options } = parseArgs({
  options: {
    tensorflow: { type: 'string', default: '2.18.1' },
    cache: { type: 'string', default: join(tmpdir(), 'deep-weight-prior-tensorflow') },
  },
});

if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.error(
    'scripts/build-tensorflow.mjs builds on Linux x86-64 only; elsewhere install the package itself',
  );
  process.exit(2);
}
const cache = resolve(options.cache);
const built = join(cache, `tfjs-node-${VERSION}-tensorflow-cpu-${options.tensorflow}`);
if (!existsSync(built)) build(options.tensorflow, built);
link(join(built, 'node_modules', PACKAGE), join('node_modules', PACKAGE));

/** Fetches, compiles and puts together in a folder of its own, which takes its name only when it is complete. */
function build(tensorflow, folder) {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'build-'));
  try {
    const run = (command, ...args) =>
      execFileSync(command, args, { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] });

    console.error(`1/3 ${PACKAGE} ${VERSION} from npm, its install script left out`);
    const npm = ['npm', 'install', '--prefix', work, '--ignore-scripts', '--no-audit', '--no-fund'];
    run(...npm, `${PACKAGE}@${VERSION}`, NODE_HEADERS);

    console.error(`2/3 libtensorflow and its headers from PyPI's tensorflow-cpu ${tensorflow}`);
    // Any wheel for Linux will do, for its Python part stays behind: ask for Python 3.11, whatever runs here.
    const platform = (name) => ['--platform', `${name}_x86_64`];
    run(
      ...[
        'python3',
        '-m',
        'pip',
        'download',
        '--quiet',
        '--no-deps',
        '--only-binary=:all:',
        '--dest',
        'wheel',
      ],
      ...['--python-version', '3.11', ...platform('manylinux2014'), ...platform('manylinux_2_17')],
      ...[...platform('manylinux_2_27'), `tensorflow-cpu==${tensorflow}`],
    );
    run('python3', '-c', UNPACK);

    console.error('3/3 compiling');
    const target = join(work, 'node_modules', PACKAGE);
    const libraries = join(target, 'deps', 'lib');
    const binary = join(target, 'lib', `napi-v${NODE_API}`);
    mkdirSync(join(target, 'deps'), { recursive: true });
    mkdirSync(binary, { recursive: true });
    renameSync(join(work, 'tensorflow'), libraries);
    run(
      ...['g++', '-std=c++17', '-O2', '-fPIC', '-shared', `-DNAPI_VERSION=${NODE_API}`],
      ...['-I', 'node_modules/node-api-headers/include', '-I', join(libraries, 'include')],
      ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((name) => join(target, 'binding', name)),
      ...['-L', libraries, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      // Found from where the binary lies, so that the folder may move.
      ...['-Wl,-rpath,$ORIGIN/../../deps/lib', '-o', join(binary, 'tfjs_binding.node')],
    );
    rmSync(join(work, 'wheel'), { recursive: true });
    renameSync(work, folder);
    console.error(`built in ${folder}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function link(target, path) {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there && !there.isSymbolicLink()) {
    console.error(`${path} is installed: it is used as it is`);
    return;
  }
  mkdirSync(join(path, '..'), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(target, path);
  console.error(`${path} → ${target}`);
}
