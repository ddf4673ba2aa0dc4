import { defineConfig } from 'vitest/config';
import { mutate } from './test/bounds/mutate.js';
import { hasTensorflow } from './test/engine/backends.js';

export default defineConfig({
  plugins: [mutate()],
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Native inference and two cores: a pool larger than the machine only makes every test slower.
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'native', include: ['test/**/*.test.ts'] } },
      // What is compared with `cpu` is compared once more where libtensorflow is (`npm run test:tensorflow`).
      ...(hasTensorflow
        ? [
            {
              extends: true as const,
              test: {
                name: 'tensorflow',
                include: ['test/engine/op*.test.ts', 'test/train/adam.test.ts'],
                env: { DWP_TEST_ENGINE: 'tensorflow' },
              },
            },
          ]
        : []),
    ],
  },
});
