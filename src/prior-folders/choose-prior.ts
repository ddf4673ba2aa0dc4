// Which fitted prior a layer of a network gets: by kernel size, then by the role of the layers that the prior's kernels
// come from, then by their numbers of input channels. Pure: from descriptions to a choice and its reason.
import { type DwpError, usageError } from '../errors.js';
import { type KernelSize, type Role, sizeText, type Units } from '../kernels/index.js';

/** A layer that needs a prior. */
export interface LayerNeed {
  name: string;
  size: KernelSize;
  /** Where it stands in its network; a dense layer has no role, and any prior of 1×1 fits it. */
  role?: Role;
  /** Input channels. */
  inputs: number;
}

/** A prior that there is. */
export interface PriorOffer {
  path: string;
  size: KernelSize;
  /** Of the layers that its kernels come from; unknown for bare arrays. */
  roles?: readonly Role[];
  /** Input channels of those layers. */
  inputs?: readonly number[];
  /** What its kernels are divided by, layer by layer; nothing unless given. */
  units?: Units;
}

export interface PriorChoice<O extends PriorOffer = PriorOffer> {
  /** One; several where priors that fit equally well are to be mixed. */
  offers: O[];
  /** For a person: why these. */
  reason: string;
}

/**
 * Whether the prior's kernels are kernels of the layer: of its size, and of one input, of all its inputs, or of a group of
 * them where the prior has learned of groups, too.
 */
function fits({ size, inputs }: LayerNeed, offer: PriorOffer): boolean {
  const { channels = 1, h, w } = offer.size;
  const whole = offer.inputs?.length && offer.inputs.every((n) => n === channels);
  const spans = channels === 1 || channels === inputs || (!whole && inputs % channels === 0);
  return h === size.h && w === size.w && spans;
}

/** Layers behind the first one that see features: a prior of one serves the other. */
const INSIDE: readonly Role[] = ['middle', 'last'];

/** How well the roles fit, 0 for not at all, and why. */
function byRole({ role }: LayerNeed, { roles }: PriorOffer): { rank: number; why: string } {
  if (role === undefined || roles === undefined) return { rank: 1, why: 'no role known' };
  const alike = INSIDE.includes(role) ? INSIDE : [role];
  const only = roles.every((other) => other === role);
  if (only) return { rank: 4, why: `role ${role}` };
  if (roles.every((other) => alike.includes(other)))
    return { rank: 3, why: `role ${roles.join(' and ')}, which serves a ${role} layer` };
  if (roles.some((other) => alike.includes(other)))
    return { rank: 2, why: `kernels of ${roles.join(', ')} layers` };
  return { rank: 0, why: `role ${roles.join(', ')}` };
}

const sees = ({ inputs }: LayerNeed, offer: PriorOffer): boolean => offer.inputs?.includes(inputs) ?? false;

/**
 * The prior of a layer, undefined where none fits.
 * @param mix take all that fit equally well, instead of refusing
 * @throws DwpError USAGE when several fit equally well
 */
export function choosePrior<O extends PriorOffer>(
  need: LayerNeed,
  offers: readonly O[],
  mix = false,
): PriorChoice<O> | undefined {
  const fitting = offers
    .filter((offer) => fits(need, offer))
    .map((offer) => ({ offer, ...byRole(need, offer), seen: sees(need, offer) }))
    .filter(({ rank }) => rank > 0);
  if (fitting.length === 0) return undefined;
  const rank = Math.max(...fitting.map((fit) => fit.rank));
  const ofRole = fitting.filter((fit) => fit.rank === rank);
  const ofInputs = ofRole.filter(({ seen }) => seen);
  const alike = ofInputs.length > 0 ? ofInputs : ofRole;
  const spans = Math.max(...alike.map(({ offer }) => offer.size.channels ?? 1));
  const best = alike.filter(({ offer }) => (offer.size.channels ?? 1) === spans);
  if (best.length > 1 && !mix)
    throw usageError(
      `layer ${need.name} (${sizeText(need.size)}${need.role ? `, ${need.role}` : ''}, ${need.inputs} inputs): ` +
        `${best.map(({ offer }) => offer.path).join(' and ')} match equally well`,
      'leave out all but one, fit them with dwp fit-prior --role, or mix them with --mix-priors',
    );
  const { why, seen } = best[0];
  const reason = [
    sizeText(best[0].offer.size),
    ...(spans > 1 ? [spans === need.inputs ? 'whole filters' : `groups of ${spans} input channels`] : []),
    why,
    ...(seen ? [`${need.inputs} inputs among those seen`] : []),
    ...(fitting.length > best.length ? [`the best of ${fitting.length} of this size`] : []),
  ].join(', ');
  return { offers: best.map(({ offer }) => offer), reason };
}

/**
 * What a layer can make do with where none fits: the same size from other layers, else the nearest size, by the ratios of
 * height and width, the larger of two. Only priors of slices: filters have their numbers of channels. Undefined when there
 * are none.
 */
export function chooseSubstitute<O extends PriorOffer>(
  need: LayerNeed,
  offers: readonly O[],
): (PriorChoice<O> & { resampled: boolean }) | undefined {
  const { h, w } = need.size;
  const area = ({ size }: PriorOffer) => size.h * size.w;
  const ratio = (a: number, b: number) => Math.abs(Math.log(a) - Math.log(b));
  const distance = ({ size }: PriorOffer) => ratio(size.h, h) + ratio(size.w, w);
  const [offer] = offers
    .filter(({ size: { channels = 1 } }) => channels === 1)
    .sort(
      (a, b) =>
        distance(a) - distance(b) ||
        area(b) - area(a) ||
        byRole(need, b).rank - byRole(need, a).rank ||
        Number(sees(need, b)) - Number(sees(need, a)),
    );
  if (!offer) return undefined;
  const resampled = sizeText(offer.size) !== sizeText(need.size);
  return {
    offers: [offer],
    resampled,
    reason: resampled
      ? `resampled from ${sizeText(offer.size)}, as no prior of ${sizeText(need.size)} fits`
      : `${byRole(need, offer).why}, as no prior fits a ${need.role} layer`,
  };
}

/** What to say where no prior fits a layer. */
export function nothingFits(need: LayerNeed, offers: readonly PriorOffer[], why: string): DwpError {
  const given = offers.map(
    ({ path, size, roles }) => `${path} (${sizeText(size)}${roles ? `, ${roles.join(', ')}` : ''})`,
  );
  const size = sizeText(need.size);
  return usageError(
    `${why} needs a fitted prior of size ${size} for layer ${need.name}` +
      `${need.role ? ` (a ${need.role} layer)` : ''}; given: ${given.join(', ') || 'none'}`,
    `fit one with dwp fit-prior --size ${size} and pass it with --prior-path`,
  );
}
