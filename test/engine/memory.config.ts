// `npm run test:memory`: the memory tests at full length, some minutes.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/engine/memory.test.ts', 'test/kernels/memory.test.ts'],
    env: { DWP_MEMORY_STEPS: '5000', DWP_MEMORY_LAYERS: '400' },
    maxWorkers: 1,
  },
});
