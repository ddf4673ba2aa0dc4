// The deep weight prior whose z does the work, a VAE: it says which of the normals of a fitted mixture a kernel is like, between which of them
// it lies, and how large it is. Given z there is one normal and no sum (gated/bank.ts): all that is known of the kind of a
// kernel goes through z, and r(z|w) (gated/encoder.ts) has something to say.
import { z } from 'zod';
import { type LatentDensity, logImportanceWeight } from '../distributions/latent.js';
import { type DiagonalNormal, klToStandard, reparameterise } from '../distributions/normal.js';
import {
  f32,
  foldIn,
  type Key,
  type NdArray,
  RandomStream,
  spec,
  stopGradient,
  tf,
} from '../engine/index.js';
import { wholeNumber, wholeNumberOr } from './fields.js';
import {
  bankCoordinates,
  bankLogLikelihood,
  bankShapes,
  bankSize,
  checkBank,
  drawFromBank,
  GATE,
  initialGate,
  scaleSpread,
  storedBank,
} from './gated/bank.js';
import { drawKernels, drawRows } from './gated/draws.js';
import { encode, encoderNetwork, encoderShapes, isRegion, regionArrays } from './gated/encoder.js';
import { layOut } from './gated/layout.js';
import type { LatentMarginal } from './latent/latent-prior.js';
import { isMoved, movable, movedShapes, unmoved } from './latent/moved.js';
import { standardMarginal } from './latent/standard.js';
import type { Component } from './mixture/em.js';
import { fitStraightComponents } from './mixture/fit.js';
import { bend, RADIAL, radialShape, straighten } from './mixture/radial.js';
import { requirePositive, requireShapes } from './parameters.js';
import {
  type Arrays,
  type KernelPrior,
  kernelLength,
  type LearnerStart,
  numbersIn,
  type PriorFamily,
  type Tensors,
  triangle,
} from './prior.js';

const config = z.object({
  latent: wholeNumber(2, 256)
    .default(6)
    .describe('dimension of the latent variable z; the last of its numbers is the scale of a kernel'),
  hidden: wholeNumber(1, 4096).default(96).describe('width of the hidden layers'),
  components: wholeNumberOr('auto', 1, 1000)
    .default('auto')
    .describe(
      'number of normals of each mixture; auto means the number that is best on a tenth of the kernels',
    ),
  members: wholeNumber(1, 100)
    .default(4)
    .describe('number of mixtures, fitted from different starts, whose normals make up the decoder'),
  tails: wholeNumber(1, 1000)
    .default(15)
    .describe('degrees of freedom of the mixtures that a fit starts from'),
});
type Config = z.infer<typeof config>;

/** Samples of r in the bound that the decoder is trained on. */
const SAMPLES = 5;

/** Kernels that the density draws before its first step, [M, d]. */
const DRAWS = 'draws';

/** (16) by K samples: noise [K, n, l] → [n]. */
const elbo = (density: LatentDensity, w: tf.Tensor, r: DiagonalNormal, noise: tf.Tensor): tf.Tensor =>
  tf.sub(tf.mean(density.logLikelihood(w, reparameterise(r, noise)), 0), klToStandard(r));

interface GatedDensity extends LatentDensity {
  latent: LatentMarginal;
  /** The same density, to whose decoder no gradient passes. */
  still(): LatentDensity;
}

function gatedDensity(parameters: Tensors, settings: Config): GatedDensity {
  const seen = remembered((w) => {
    const { x, logVolume } = straighten(w, parameters[RADIAL]);
    return { x, logVolume, y: bankCoordinates(parameters, x) };
  });
  const latent = movable(standardMarginal, parameters);
  const withGate = (gate: Tensors): LatentDensity => ({
    latentSize: settings.latent,
    encode(w) {
      const { x, y } = seen(w);
      return encode(parameters, x, y, settings);
    },
    logLikelihood(w, z) {
      const { y, logVolume } = seen(w);
      return tf.add(bankLogLikelihood({ ...parameters, ...gate }, y, z), logVolume);
    },
    logLatent: latent.logDensity,
  });
  return {
    ...withGate({}),
    latent,
    still: () =>
      withGate(Object.fromEntries(Object.values(GATE).map((name) => [name, stopGradient(parameters[name])]))),
  };
}

/** The last result for as long as the argument is the same tensor. */
function remembered<T>(f: (x: tf.Tensor) => T): (x: tf.Tensor) => T {
  let last: { x: tf.Tensor; value: T } | undefined;
  return (x) => {
    if (last?.x !== x) last = { x, value: f(x) };
    return last.value;
  };
}

/** What a fit starts from: a bank of these components, regions of z for them, and draws of the density that this makes. */
export function startOf(
  bank: readonly Component[],
  knots: NdArray,
  { latent, tails }: Pick<Config, 'latent' | 'tails'>,
  key: Key,
): Arrays {
  const layout = layOut(bank, latent - 1, new RandomStream(foldIn(key, 'layout')));
  const stream = new RandomStream(foldIn(key, 'draws'));
  return {
    [DRAWS]: drawKernels(bank, layout, scaleSpread(tails), knots, stream),
    [RADIAL]: knots,
    ...storedBank(bank),
    ...initialGate(layout, tails),
    ...regionArrays(layout),
  };
}

export const vae: PriorFamily<Config> = {
  name: 'vae',
  summary: 'variational auto-encoder whose z chooses and blends the normals of a mixture',
  config,
  compared: [{ name: 'vae', label: 'VAE', config: {} }],
  fit: {
    kind: 'gradient',
    startsFrom: () => 'the mixture',
    async prepare(kernels, { components, members, tails, latent }, key, work) {
      const points = { ...kernels, size: kernelLength(kernels) };
      const options = { components: components === 'auto' ? undefined : components, members, dof: tails };
      const { components: bank, knots } = await fitStraightComponents(points, options, key, work);
      return startOf(bank, knots, { latent, tails }, key);
    },
    initial(kernels, settings, key, prepared = {}): LearnerStart {
      const gates: string[] = Object.values(GATE);
      const isLearned = (name: string) => gates.includes(name) || isRegion(name);
      const [learned, fixed] = [isLearned, (name: string) => !isLearned(name)].map((kept) =>
        Object.fromEntries(Object.entries(prepared).filter(([name]) => kept(name))),
      );
      const scale = Math.sqrt(kernels.data.reduce((sum, x) => sum + x * x, 0) / kernels.data.length);
      return {
        trainable: { ...encoderNetwork(kernels, bankSize(prepared), settings, key), ...learned },
        fixed: { ...fixed, scale: f32([], Float32Array.of(scale)) },
      };
    },
    noise: (batch, { latent }) => ({
      latent: spec([SAMPLES, batch, latent]),
      rows: spec([batch]),
      latentOfDraws: spec([1, batch, latent]),
    }),
    // (132) half of (4), from which the gate learns, and half of (16), from which r does. Draws teach r as much as kernels
    // do, and add nothing to the value
    bound(parameters, w, { latent, rows, latentOfDraws }, _size, settings) {
      const density = gatedDensity(parameters, settings);
      const still = density.still();
      const r = density.encode(w);
      const fixed = { mean: stopGradient(r.mean), logStd: stopGradient(r.logStd) };
      const weights = logImportanceWeight(density, w, reparameterise(fixed, latent), fixed); // [K, n]
      const several = tf.sub(tf.logSumExp(weights, 0), Math.log(SAMPLES));
      const own = elbo(still, w, r, latent);
      const drawn = drawRows(parameters[DRAWS], rows);
      const ofDraws = elbo(still, drawn, still.encode(drawn), latentOfDraws);
      const teaching = tf.sub(ofDraws, stopGradient(ofDraws)); // 0
      return tf.mul(tf.add(tf.add(several, own), teaching), 0.5);
    },
  },
  prior(size, settings, given): KernelPrior {
    const d = kernelLength(size);
    const c = bankSize(given);
    const parameters = requireShapes(given, {
      ...bankShapes(given, d, settings.latent),
      ...encoderShapes(size, c, settings),
      ...radialShape(given),
      ...movedShapes(given, settings.latent),
      scale: [],
    });
    requirePositive('scale', parameters.scale.data);
    checkBank(parameters);
    return {
      family: 'vae',
      size,
      config: settings,
      parameters,
      generateNoise: (n) => ({ latent: spec([n, settings.latent]), kernels: spec([n, d]) }),
      generate(parameters, noise) {
        const z = gatedDensity(parameters, settings).latent.sample(noise);
        return bend(drawFromBank(parameters, z, noise.kernels), parameters[RADIAL]);
      },
      density: {
        kind: 'latent',
        latentSize: settings.latent,
        isStandard: !isMoved(parameters),
        components: c,
        encoder: Object.keys(encoderShapes(size, c, settings)),
        of: (parameters) => gatedDensity(parameters, settings),
      },
      adaptable: {
        latent: { names: Object.keys(unmoved(settings.latent)), added: unmoved(settings.latent) },
        decoder: { names: Object.values(GATE) },
      },
    };
  },
  // of triangular factors what is below the diagonal, and one weight follows from the others
  freeNumbers(size, _settings, given) {
    const d = kernelLength(size);
    const c = bankSize(given);
    return numbersIn(given) - c * (d * d - triangle(d)) - 1;
  },
};
