// Log importance weights of many units (kernels, or groups of them) with any number of samples, in chunks over units
// and samples: memory does not grow with either. Every unit has a noise stream of its own, so that its samples are the
// same however the work is cut.
import {
  chunksOf,
  type Engine,
  f32,
  foldIn,
  type Key,
  RandomStream,
  sizeOf,
  spec,
  tf,
} from '../engine/index.js';
import type { Arrays, Tensors } from '../priors/index.js';

/**
 * Units × samples that one run of the step computes, where a unit has 25 numbers or fewer. More are not faster, and a
 * latent prior of thousands of components needs as many numbers for each.
 */
export const CHUNK = 4_000;
const SMALL = 25;

/** A sum over units, each with its own log weights. */
export interface WeightedUnits {
  units: number;
  /** Dimension of the latent variable. */
  latentSize: number;
  /** Samples for each unit. */
  samples: number;
  /** Whether some of the units can be computed without the others. */
  separable: boolean;
  /** Shapes of what each unit is given in every run. */
  given: Readonly<Record<string, readonly number[]>>;
  constants: Readonly<Record<string, Arrays>>;
  /**
   * Log weights [K, u] of u units, and that of the latent that drew them, [u], where there is one.
   * @param rows which units, [u]; undefined for all of them
   * @param given of those units, [u, ..]
   * @param noise standard normals [K, u, l]
   */
  weights(
    rows: tf.Tensor1D | undefined,
    given: Tensors,
    noise: tf.Tensor,
    constants: Readonly<Record<string, Tensors>>,
  ): { proposed: tf.Tensor; own?: tf.Tensor };
}

export interface WeightStream {
  /** Log weights of one run. */
  cost: number;
  /**
   * @param given for all units, [units, ..]
   * @param visit called once for each unit, in order; its weights [K] are written again afterwards
   * @param done called with numbers of log weights as they are computed
   */
  run(
    given: Arrays,
    key: Key,
    visit: (unit: number, weights: Float32Array, own: number) => void,
    done?: (weights: number) => void,
  ): Promise<void>;
  release(): Promise<void>;
}

/** @param chunk units × samples of one run of the step */
export async function weightStream(of: WeightedUnits, engine: Engine, chunk = CHUNK): Promise<WeightStream> {
  const { units, latentSize, samples, separable } = of;
  const unitSize = Math.max(...Object.values(of.given).map(sizeOf));
  const budget = Math.max(1, Math.floor(chunk / Math.max(1, unitSize / SMALL)));
  const most = Math.max(1, Math.floor(budget / samples));
  const together = separable ? Math.ceil(units / Math.ceil(units / most)) : units; // the same number in every run
  const atOnce = Math.min(samples, Math.max(1, Math.floor(budget / together)));
  const step = await engine.compile(
    ({ rows, given, noise }, constants) => {
      const { proposed, own } = of.weights(rows, given, noise, constants);
      return { proposed: tf.clone(proposed), ...(own && { own: tf.clone(own) }) };
    },
    {
      inputs: {
        ...(separable && { rows: spec([together], 'int32') }),
        given: Object.fromEntries(
          Object.entries(of.given).map(([name, shape]) => [name, spec([together, ...shape])]),
        ),
        noise: spec([atOnce, together, latentSize]),
      },
      constants: of.constants,
    },
  );

  const noise = f32([atOnce, together, latentSize]);
  const normals = new Float32Array(atOnce * latentSize);
  const weights = Array.from({ length: together }, () => new Float32Array(samples));
  const rows = { shape: [together], data: new Int32Array(together) };

  /** The next normals of each unit, into [K, u, l]. */
  function drawNoise(streams: readonly RandomStream[]) {
    for (const [u, stream] of streams.entries()) {
      stream.fillNormal(normals);
      for (let k = 0; k < atOnce; k++)
        for (let j = 0; j < latentSize; j++)
          noise.data[(k * together + u) * latentSize + j] = normals[k * latentSize + j];
    }
  }

  return {
    cost: units * samples,
    async run(given, key, visit, done) {
      for (const { from, to, fresh } of chunksOf(units, together)) {
        const streams = weights.map((_, u) => new RandomStream(foldIn(key, from + u)));
        const own = new Float32Array(together);
        rows.data.forEach((_, u) => {
          rows.data[u] = from + u;
        });
        const part = Object.fromEntries(
          Object.entries(of.given).map(([name, shape]) => {
            const size = sizeOf(shape);
            const data = given[name].data.subarray(from * size, to * size);
            return [name, f32([together, ...shape], data as Float32Array)];
          }),
        );
        for (let at = 0; at < samples; at += atOnce) {
          drawNoise(streams);
          const out = await step.run({
            ...(separable && { rows }),
            given: part,
            noise,
          });
          const count = Math.min(atOnce, samples - at);
          for (const [u, list] of weights.entries())
            for (let k = 0; k < count; k++) list[at + k] = out.proposed.data[k * together + u];
          if (out.own) own.set(out.own.data);
          done?.(count * (to - fresh));
        }
        for (let u = fresh - from; u < together; u++) visit(from + u, weights[u], own[u]);
      }
    },
    release: () => step.release(),
  };
}
