// `npm run test:models`: real models in packages of npm and pip (pretrained/published.yaml, kept in a cache below the temporary folder).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/models/*.models.ts'], testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: 1 },
});
