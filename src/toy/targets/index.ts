// Posteriors to be approximated: one value each.
import type { Target } from '../target.js';
import { banana } from './banana.js';
import { logistic } from './logistic.js';
import { ring, xShape } from './mixture.js';

export const targets: readonly Target[] = [banana, xShape, ring, logistic];
