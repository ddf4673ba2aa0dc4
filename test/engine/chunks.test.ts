// Chunks of one size that cover rows: each row is fresh once.
import { expect, test } from 'vitest';
import { chunksOf } from '../../src/engine/index.js';

test.each([
  [0, 3],
  [1, 1],
  [6, 3],
  [7, 3],
  [8, 3],
  [3, 3],
  [100, 7],
])('%i rows in chunks of %i', (count, size) => {
  const chunks = [...chunksOf(count, size)];
  expect(chunks).toHaveLength(Math.ceil(count / size));
  const fresh: number[] = [];
  for (const chunk of chunks) {
    expect(chunk.to - chunk.from).toBe(size);
    expect(chunk.from).toBeGreaterThanOrEqual(0);
    expect(chunk.to).toBeLessThanOrEqual(count);
    for (let i = chunk.fresh; i < chunk.to; i++) fresh.push(i);
  }
  expect(fresh).toEqual(Array.from({ length: count }, (_, i) => i));
});

test('the last chunk looks back; of fewer rows than a chunk there is one that ends beyond them', () => {
  expect([...chunksOf(5, 2)].at(-1)).toEqual({ from: 3, to: 5, fresh: 4 });
  expect([...chunksOf(2, 5)]).toEqual([{ from: 0, to: 5, fresh: 0 }]);
});
