// Collecting many tensors takes no more memory than collecting few (npm run test:memory: 1.6 GB of them).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConvLayer } from '../../src/importers/index.js';
import { collectKernels } from '../../src/kernels/index.js';
import { filesOf, opener } from './in-memory.js';

const LAYERS = Number(process.env.DWP_MEMORY_LAYERS ?? 60);
const KERNELS = 110_000; // of 3x3: 4 MB a layer

const layer = (number: number): ConvLayer => ({
  name: `layer${number}`,
  kind: 'conv',
  shape: [KERNELS, 1, 3, 3],
  dtype: 'float32',
  read: () => {
    const data = new Float32Array(KERNELS * 9);
    let state = number + 1;
    for (let i = 0; i < data.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      data[i] = state;
    }
    return data;
  },
});

test('resident memory is bounded, whatever the number of layers', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dwp-memory-'));
  const models = [Array.from({ length: LAYERS }, (_, i) => layer(i))];
  const collect = async (count: number) => {
    let peak = 0;
    const out = join(folder, `out${count}`);
    await collectKernels(
      filesOf(models),
      out,
      {
        depthwise: 'include',
        transposed: 'exclude',
        normalize: 'none',
        testFraction: 0.2,
        seed: 0,
        depth: { by: 'index', from: 0, to: count },
      },
      {},
      {
        open: async (path) => {
          const model = await opener(models)(path, {});
          for (const each of model.layers) {
            const { read } = each;
            each.read = () => {
              peak = Math.max(peak, process.memoryUsage.rss());
              return read();
            };
          }
          return model;
        },
      },
    );
    rmSync(out, { recursive: true });
    return peak;
  };
  try {
    const few = await collect(20); // 79 MB of weights, 35 MB of hashes
    const many = await collect(LAYERS);
    // hashes stay in memory up to 64 MB, then go to the disk; 1 bit for each kernel is 14 kB a layer
    expect((many - few) / 2 ** 20).toBeLessThan(120);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
