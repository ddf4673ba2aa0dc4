// The plans in examples/ are plans: every option is one that its method has.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readPlan } from '../../src/plans/plan.js';

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));

test.each(readdirSync(EXAMPLES).filter((name) => name.endsWith('.yaml')))('%s', (name) => {
  expect(readPlan(join(EXAMPLES, name)).runs.length).toBeGreaterThan(5);
});
