// `npm run test:rough`: the built program as processes that are interrupted, killed, and refused what they ask for.
// A new kind of rough handling is a new file <kind>.rough.ts here.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/rough/*.rough.ts'], testTimeout: 240_000, hookTimeout: 240_000, maxWorkers: 2 },
});
