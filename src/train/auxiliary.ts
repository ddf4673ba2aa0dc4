// Parameters of r(z|w) that are trained along with a network, before the first step.
import { AUXILIARY, type Model } from '../bounds/elbo.js';
import { type Engine, f32, type NdArray, spec, tf } from '../engine/index.js';
import { convLayers } from '../nn/index.js';
import type { Arrays, Tensors } from '../priors/index.js';

/**
 * A copy of the prior's encoder for each layer (`trainable`), or its answers for the kernels that training starts at
 * (`local`), named `layer.auxiliary.name`; nothing when the encoder stays as it is.
 *
 * @param weights start of each convolution by name, [out, in, h, w]
 */
export async function auxiliaryParameters(
  { architecture, priors, bound }: Model,
  weights: Readonly<Record<string, NdArray>>,
  engine: Engine,
): Promise<Arrays> {
  const arrays: Record<string, NdArray> = {};
  if (bound?.proposal !== 'auxiliary' || bound.encoder === 'frozen') return arrays;
  for (const layer of convLayers(architecture)) {
    const prior = priors[layer.name];
    if (prior?.density.kind !== 'latent') continue;
    const { density, parameters } = prior;
    const name = (part: string) => `${layer.name}.${AUXILIARY.name}.${part}`;
    if (bound.encoder === 'trainable') {
      for (const part of density.encoder) arrays[name(part)] = parameters[part];
      continue;
    }
    const [out, inputs, h, w] = layer.shape;
    const shape = [out * inputs, h * w];
    const step = await engine.compile(
      ({ w }: { w: tf.Tensor }, parameters: Tensors) => {
        const { mean, logStd } = density.of(parameters).encode(w);
        return { mean: tf.clone(mean), logStd: tf.clone(logStd) };
      },
      { inputs: { w: spec(shape) } as never, constants: parameters },
    );
    const r = (await step.run({
      w: f32(shape, weights[layer.name].data as Float32Array),
    } as never)) as unknown as Record<'mean' | 'logStd', NdArray>;
    await step.release();
    for (const part of ['mean', 'logStd'] as const)
      arrays[name(part)] = f32(r[part].shape, Float32Array.from(r[part].data));
  }
  return arrays;
}
