// Every method by name: a new one is one file and one line. Programs add theirs with `methods.set`.
import { usageError } from '../errors.js';
import { chains } from './chains.js';
import type { Method } from './method.js';
import { point } from './point.js';
import { variational } from './variational.js';

export type { Draws, Method, MethodReport, Task, TaskHooks } from './method.js';

export const methods = new Map<string, Method>(
  [variational, point, chains].map((method) => [method.name, method as unknown as Method]),
);

/** @throws DwpError USAGE where there is none of this name */
export function methodNamed(name: string): Method {
  const method = methods.get(name);
  if (method) return method;
  throw usageError(`unknown method ${name}`, `known: ${[...methods.keys()].join(', ')}`);
}
