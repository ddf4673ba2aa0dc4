// What compiled steps can run on: the execution providers of the installed onnxruntime.
import { usageError } from '../errors.js';
import { lineOf, StepError } from './contract.js';
import type { Node } from './graph.js';

export const DEVICES = ['cpu', 'cuda', 'webgpu', 'coreml', 'dml'] as const;
export type Device = (typeof DEVICES)[number];

/** What onnxruntime says of a provider: whether its library came with the package. */
export interface Provider {
  name: string;
  bundled: boolean;
}

const WHERE: Record<Device, string> = {
  cpu: 'it is always there',
  cuda: 'it needs Linux x64, an NVIDIA GPU with CUDA 12, and its library: ONNXRUNTIME_NODE_INSTALL=cuda12 npm install onnxruntime-node@1.30.0 (docs/gotchas.md)',
  webgpu:
    'it comes with onnxruntime for Linux, Windows and macOS, and needs a GPU driver (Vulkan, Direct3D 12 or Metal)',
  coreml: 'it comes with onnxruntime for macOS',
  dml: 'it comes with onnxruntime for Windows (DirectML)',
};

/**
 * The providers to ask for, best first: operators that a device does not support run on the CPU.
 * @throws DwpError USAGE when the installed onnxruntime was built without the device
 */
export function executionProviders(device: Device, available: readonly Provider[]): string[] {
  if (device === 'cpu') return ['cpu'];
  if (available.some(({ name }) => name === device)) return [device, 'cpu'];
  throw usageError(
    `--device ${device}: the installed onnxruntime supports only ${available.map(({ name }) => name).join(', ')}`,
    `${WHERE[device]}; --device cpu always works`,
  );
}

/**
 * Nodes that a device computes wrongly are refused, rather than discovered later.
 * @throws StepError naming the operation and the line
 */
export function refuseWrong(device: Device, nodes: readonly Node[]): void {
  if (device !== 'webgpu') return;
  for (const { op, attributes, origin } of nodes) {
    const spaced = (attributes.dilations as readonly number[] | undefined)?.some((d) => d > 1);
    if (op === 'ConvTranspose' && Number(attributes.group) > 1 && spaced)
      throw new StepError(
        'the gradient of a grouped convolution with dilation comes out wrong on --device webgpu: use another device',
        origin?.gradientOf ?? origin?.kernel,
        origin && lineOf(origin.site),
      );
  }
}

/** The same message for a provider that is there but does not start: no GPU, no driver, no library. */
export const deviceFailed = (device: Device, reason: string) =>
  usageError(`--device ${device} does not start: ${reason}`, `${WHERE[device]}; --device cpu always works`);
