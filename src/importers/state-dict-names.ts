// What a tensor is by its name: a weight, a part of a Bayesian layer, of an adapter or of an optimiser, or a table.
import { shown } from '../formats/source.js';
import { type NamedTensor, partsOf, splitName, type TensorsByName } from './state-dict-tensors.js';

/** Last part of the name of a weight. */
const WEIGHT = /^(weights?|kernels?|filters?|w|[a-z]+_(weights?|kernel))(:\d+)?$/i;
/** Last part but one of the name of a weight in a list or dictionary of parameters: `weights.0`, `filters.edges`. */
const WEIGHT_LIST = /^(weights|kernels?|filters?|ws|[a-z]+_(weights|kernels|filters))$/i;
/** The same of lists that hold all sorts of parameters. */
const PARAMETER_LIST = /^(params|parameters|vars|thetas?|param_list)$/i;
/** 4-D tensors of other uses: tables of positions, statistics, scales, masks, optimisers' moments. */
const NO_WEIGHT =
  /pos(ition)?(al)?_?(emb|enc|bias)|embed|bias|mean|std|var(iance)?$|running_|gamma|beta|scale|mask|grid|anchor|token|buffer|exp_avg|moment/i;
/** Part of the path of an optimiser's state. */
const OPTIMISER = /(^|[_:])optim(i[sz]ers?)?([_:]|$)|optimi[sz]er/i;
/** Part of the path of an adapter's factors: LoRA, LoHa, LoKr, DoRA, OFT and their like. */
const ADAPTER = /^(lora|loha|lokr|hada|dora|glora|b?oft|ia3|vera)([_AB]|$)|_lora(_|$)|^loras?$/i;

/** Words of the names of what a Bayesian layer keeps. */
const WEIGHT_WORDS = new Set([
  'weight',
  'weights',
  'kernel',
  'kernels',
  'filter',
  'filters',
  'w',
  'ws',
  'qw',
]);
const MEAN_WORDS = new Set(['mu', 'mus', 'mean', 'means', 'loc', 'locs']);
const SPREAD_WORDS = new Set(
  (
    'rho rhos sigma sigmas std stds stddev stdev stdv sd scale scales var variance logvar lvar logsigma lsigma ' +
    'logstd logscale log logalpha alpha eps epsilon noise prior priors sq square cov covariance sqrt prec ' +
    'precision untransformed'
  ).split(' '),
);

export const SPREAD = 'a standard deviation, noise or prior of random weights, whose means are the kernels';
export const ADAPTER_FACTOR = 'a factor of a low-rank adapter (LoRA or the like), which is no kernel';

/** What a tensor's name says. */
export type Meaning =
  | { kind: 'weight'; layer: string; role: string; mean?: boolean }
  /** Something that may look like a weight. */
  | { kind: 'other'; reason: string }
  | { kind: 'nothing' };

const nothing: Meaning = { kind: 'nothing' };

/** Whether a tensor belongs to an optimiser, whose states have the shapes of weights. */
export const isOptimisers = (name: string): boolean => partsOf(name).some((part) => OPTIMISER.test(part));

/** @param anyName whether a tensor of four axes is a weight unless its name says otherwise */
export function meaningOf({ name, shape }: NamedTensor, byName: TensorsByName, anyName: boolean): Meaning {
  const { layer, role } = splitName(name);
  const fourAxes = shape.length === 4;
  if (partsOf(name).some((part) => ADAPTER.test(part)))
    return fourAxes ? { kind: 'other', reason: ADAPTER_FACTOR } : nothing;
  const random = fourAxes ? randomWeight(name, shape, byName) : undefined;
  if (random) return random;
  if (WEIGHT.test(role)) return { kind: 'weight', layer: layer || name, role };
  if (!fourAxes) return nothing;
  if (NO_WEIGHT.test(role))
    return { kind: 'other', reason: `a 4-D tensor called ${shown(role)}, which is no convolution's weights` };
  const list = splitName(layer).role;
  if (WEIGHT_LIST.test(list) || (PARAMETER_LIST.test(list) && /^\d+$/.test(role)))
    return { kind: 'weight', layer: name, role: list };
  if (anyName) return { kind: 'weight', layer: name, role };
  return { kind: 'other', reason: `a 4-D tensor called ${shown(role)}, which no known convolution has` };
}

/** `W_mu` → w, mu; `kernel_posterior_loc` → kernel, posterior, loc. */
const wordsOf = (text: string): string[] =>
  text
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== '' && word !== 'unconstrained');

/**
 * The mean or another part of random weights, in the names of libraries of Bayesian layers: `mu_kernel` and
 * `rho_kernel`, `weight_mu` and `weight_log_sigma`, `weight_sampler.mu`, `kernel_posterior_loc`, `locs.conv.weight`
 * and `scales.conv.weight`, or `mu` and `rho` alone where both have one shape.
 */
function randomWeight(name: string, shape: readonly number[], byName: TensorsByName): Meaning | undefined {
  const guide = guideOf(name, byName);
  if (guide) return guide;
  let { layer, role } = splitName(name);
  let words = wordsOf(role);
  const has = (set: ReadonlySet<string>) => words.some((word) => set.has(word));
  const parent = splitName(layer);
  if (!has(WEIGHT_WORDS) && (has(MEAN_WORDS) || has(SPREAD_WORDS))) {
    // the parameter is an object: weight.loc, weight_sampler.mu
    const object = wordsOf(parent.role);
    if (object.some((word) => WEIGHT_WORDS.has(word))) {
      ({ layer } = parent);
      words = [...object, ...words];
    } else if (!hasCounterpart(name, layer, shape, byName)) return undefined;
    else words = ['weight', ...words];
  }
  if (!has(WEIGHT_WORDS)) return undefined;
  if (has(SPREAD_WORDS)) return { kind: 'other', reason: SPREAD };
  if (!has(MEAN_WORDS)) return undefined;
  role = words.includes('kernel') ? 'kernel' : 'weight';
  return { kind: 'weight', layer: layer || name, role, mean: true };
}

/** Whether a tensor that is only called `mu` or `rho` has the other beside it. */
function hasCounterpart(
  name: string,
  layer: string,
  shape: readonly number[],
  byName: TensorsByName,
): boolean {
  const mean = wordsOf(splitName(name).role).every((word) => MEAN_WORDS.has(word));
  const others = mean
    ? [
        'rho',
        'sigma',
        'log_sigma',
        'logsigma',
        'std',
        'log_std',
        'scale',
        'scale_unconstrained',
        'log_var',
        'logvar',
        'untransformed_scale',
      ]
    : ['mu', 'mean', 'loc', 'loc_unconstrained'];
  const prefix = name.slice(0, layer.length + (layer ? 1 : 0));
  return others.some((other) => byName.get(prefix + other)?.shape.join() === shape.join());
}

/** Guides keep all means in one tree and all scales in another: `locs.conv.weight`, `scales.conv.weight`. */
function guideOf(name: string, byName: TensorsByName): Meaning | undefined {
  const found = /^(.*[./])?(locs?|scales?)([./].+)$/.exec(name);
  if (!found) return undefined;
  const [, head = '', tree, tail] = found;
  const plural = tree.endsWith('s') ? 's' : '';
  const plain = tail.replace(/_unconstrained$/, '');
  const other = tree.startsWith('loc') ? 'scale' : 'loc';
  if (![plain, `${plain}_unconstrained`].some((end) => byName.has(`${head}${other}${plural}${end}`)))
    return undefined;
  if (other === 'loc') return { kind: 'other', reason: SPREAD };
  const { layer, role } = splitName(`${head}${tree}${plain}`);
  return WEIGHT.test(role) ? { kind: 'weight', layer, role, mean: true } : nothing;
}
