// Models in memory for collecting: the path of one is m and its number.
import { createHash } from 'node:crypto';
import type { ConvLayer, OpenedModel } from '../../src/importers/index.js';
import type { ModelOpener } from '../../src/kernels/scan.js';

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

export const filesOf = (models: readonly unknown[]) =>
  models.map((_, i) => ({ path: `m${i}`, name: `models/m${i}` }));

/** @param about what differs from the usual */
export const opener =
  (
    models: readonly (readonly ConvLayer[])[],
    about: (path: string) => Partial<OpenedModel> = () => ({}),
  ): ModelOpener =>
  async (path) => ({
    path,
    format: 'onnx',
    sha256: sha256(path),
    bytes: 1,
    parts: [],
    files: [{ path, bytes: 1, modified: 1 }],
    layers: [...models[Number(path.slice(1))]],
    skipped: [],
    close() {},
    ...about(path),
  });
