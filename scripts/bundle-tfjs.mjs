// Bundles TensorFlow.js's ES modules (core, every gradient, the cpu backend) into build/tfjs.mjs.
// The packages' own Node entry registers no gradients, and their ES modules cannot be imported by Node
// directly (no extensions, no "type": "module"); one bundle also loads in a tenth of the time.
import { build } from 'esbuild';

await build({
  stdin: {
    contents: `
      import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
      import '@tensorflow/tfjs-backend-cpu/dist/index.js';
      export * from '@tensorflow/tfjs-core/dist/index.js';`,
    resolveDir: process.cwd(),
  },
  outfile: 'build/tfjs.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  mainFields: ['module', 'main'],
  minifySyntax: true,
  legalComments: 'inline',
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
