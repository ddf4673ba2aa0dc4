// What Keras calls the variables of a layer. One kernel has many names: `kernel:0`, `conv_W` of Keras 1, the same made
// unique (`kernel_1:0`, `block1_conv1_W_1:0`), `kernel_posterior_loc` of a variational layer.

const KERNEL = /^(kernel|depthwise_kernel|pointwise_kernel|recurrent_kernel|W)$/;
/** The mean of a variational layer's kernel: of TensorFlow Probability, and as people name it themselves. */
const MEAN =
  /^(?:(kernel|depthwise_kernel|pointwise_kernel|W)_(?:posterior_)?(?:loc|mu|mean)|(?:mu|loc|mean)_(kernel|W))$/i;
/** How far such a kernel spreads around its mean, or its prior. */
const SPREAD =
  /(kernel|^W|weights?)_?(posterior_|prior_)?(untransformed_scale|scale|rho|(log_?)?(sigma|std|stddev|var|variance))$|^(rho|(log_?)?(sigma|std|var))_(kernel|W)|kernel_prior/i;
/** Every other variable that is told from its name. */
const OTHERS =
  /^(b|bias|gamma|beta|moving_mean|moving_variance|running_mean|running_std|param_[01]|kernel_posterior_\w+)$/;

/** `kernel:0` → `kernel`; without the layer's name in front, and without the number that makes a name unique. */
export function plainName(variable: string, layer: string): string {
  const plain = variable.replace(/:\d+$/, '');
  const withoutLayer = plain.startsWith(`${layer}_`) ? plain.slice(layer.length + 1) : plain;
  const unnumbered = withoutLayer.replace(/_\d+$/, '');
  if (
    withoutLayer !== unnumbered &&
    !OTHERS.test(withoutLayer) &&
    (roleOf(unnumbered) || OTHERS.test(unnumbered))
  )
    return oldName(unnumbered);
  // Keras 1 puts a name in front that need not be the group's
  const old =
    /^(?:.*_)?(W|b|depthwise_kernel|pointwise_kernel|gamma|beta|running_mean|running_std)(?:_\d+)?$/.exec(
      withoutLayer,
    );
  return old ? old[1] : oldName(withoutLayer);
}

const oldName = (name: string) => name.replace(/^param_0$/, 'W').replace(/^param_1$/, 'b');

/**
 * @param variable as {@link plainName} gives it; two kernels of one layer may still be numbered
 * @returns `kernel`, `depthwise_kernel`, … for a kernel or the mean of one; undefined for everything else
 */
export function roleOf(variable: string): string | undefined {
  const name = variable.replace(/_\d+$/, '');
  if (KERNEL.test(name)) return name;
  const mean = MEAN.exec(name);
  return mean ? (mean[1] ?? mean[2]) : undefined;
}

export const isSpread = (variable: string): boolean => SPREAD.test(variable.replace(/_\d+$/, ''));
