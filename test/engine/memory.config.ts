// `npm run test:memory`: the memory tests at full length, some minutes.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/engine/memory.test.ts'],
    env: { DWP_MEMORY_STEPS: '5000' },
    maxWorkers: 1,
  },
});
