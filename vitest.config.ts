import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Native inference and two cores: a pool larger than the machine only makes every test slower.
    maxWorkers: 2,
  },
});
