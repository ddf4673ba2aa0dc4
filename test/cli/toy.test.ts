// dwp toy as a process.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { checkWellFormed } from '../report/checks.js';
import { dwp } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-toy-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  seed: number;
  report: string;
  sentences: string[];
  targets: {
    name: string;
    dimensions: number;
    reference: { rHat: number; effectiveSampleSize: number };
    methods: {
      method: string;
      runs: unknown[];
      kl: { mean: number; std: number; values: number[] } | null;
      bias: unknown;
      squaredMmd: { mean: number };
      squaredMmdStandardError: number;
    }[];
  }[];
}

const METHODS = ['hvi', 'multisample-1', 'density-ratio', 'spectral-stein', 'operator'];

test('--quick: one target, every measure, and a page', async () => {
  const html = join(folder, 'toy.html');
  const { code, out, err } = await dwp(
    ...['toy', '--quick', '--methods', ...METHODS, '--format', 'json', '--html', html],
  );
  expect(code, err).toBe(0);
  const { targets, sentences, report } = JSON.parse(out) as Result;
  expect(targets.map(({ name }) => name)).toEqual(['banana']);
  expect(sentences).toHaveLength(1);
  expect(report).toBe(html);
  const [{ methods, reference }] = targets;
  expect(methods.map(({ method }) => method)).toEqual(['hmc', ...METHODS]);
  expect(reference.rHat).toBeGreaterThan(0.9);
  for (const { method, runs, kl, bias, squaredMmd, squaredMmdStandardError } of methods) {
    expect(runs).toHaveLength(2);
    expect(Number.isFinite(squaredMmd.mean)).toBe(true);
    expect(squaredMmdStandardError).toBeGreaterThan(0);
    expect(kl !== null, method).toBe(['hvi', 'multisample-1'].includes(method));
    expect(bias !== null, method).toBe(['hvi', 'multisample-1', 'density-ratio'].includes(method));
  }
  const page = readFileSync(html, 'utf8');
  checkWellFormed(page);
  for (const method of METHODS) expect(page).toContain(method);
});

test('errors are one line, and nothing is written', async () => {
  const existing = join(folder, 'existing.html');
  writeFileSync(existing, 'kept');
  for (const [args, message] of [
    [['apple'], /banana/],
    [['--methods', 'guess'], /hvi/],
    [['--steps', '1'], /at least 10/],
    [['--html', existing], /exists already/],
  ] as const) {
    const { code, out, err } = await dwp('toy', ...args);
    expect(code, err).toBe(2);
    expect(out).toBe('');
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(err).toMatch(message);
  }
  expect(readFileSync(existing, 'utf8')).toBe('kept');
  expect(existsSync(join(folder, 'other.html'))).toBe(false);
});
