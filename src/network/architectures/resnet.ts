// Residual networks for small images (He et al. 2016, section 4.2): a stem of 3×3, three stages of blocks of two 3×3
// convolutions with batch normalisation, a mean over positions, a dense layer. Where a block narrows the image, its
// shortcut is a 1×1 convolution (their option B).
import type { LayerDescription } from '../architecture.js';
import type { NamedArchitecture } from './named.js';

/** Convolution and normalisation; `normalised` is the name of what comes out. */
const normalised = (
  name: string,
  input: string | undefined,
  options: { channels: number; kernel: number; stride: number },
): LayerDescription[] => [
  {
    ...{ kind: 'conv', name, padding: 'same', bias: false, ...options },
    ...(input !== undefined && { inputs: input }),
  },
  { kind: 'batch-norm', name: `${name}-norm` },
];

function block(
  name: string,
  from: string,
  channels: number,
  stride: number,
  narrows: boolean,
): LayerDescription[] {
  const conv = (part: string) => `${name}-${part}`;
  return [
    ...normalised(conv('conv1'), from, { channels, kernel: 3, stride }),
    { kind: 'relu', name: conv('relu1') },
    ...normalised(conv('conv2'), undefined, { channels, kernel: 3, stride: 1 }),
    ...(narrows ? normalised(conv('shortcut'), from, { channels, kernel: 1, stride }) : []),
    {
      kind: 'add',
      name: conv('sum'),
      inputs: [`${conv('conv2')}-norm`, narrows ? `${conv('shortcut')}-norm` : from],
    },
    { kind: 'relu', name },
  ];
}

const resnet = (blocks: number): NamedArchitecture => ({
  description: `${6 * blocks + 2} layers of 3×3 with skip connections and batch normalisation`,
  channels: [16, 32, 64],
  layers(channels, classes) {
    const stem = [
      ...normalised('stem', undefined, { channels: channels[0], kernel: 3, stride: 1 }),
      { kind: 'relu', name: 'stem-relu' },
    ];
    let from = 'stem-relu';
    let before = channels[0];
    const stages = channels.flatMap((count, stage) =>
      Array.from({ length: blocks }, (_, i) => {
        const name = `block${stage + 1}${String.fromCharCode(97 + i)}`;
        const stride = stage > 0 && i === 0 ? 2 : 1;
        const made = block(name, from, count, stride, stride > 1 || count !== before);
        from = name;
        before = count;
        return made;
      }).flat(),
    );
    return [...stem, ...stages, { kind: 'global-average-pool' }, { kind: 'dense', units: classes }];
  },
});

export const resnet8 = resnet(1);
export const resnet20 = resnet(3);
