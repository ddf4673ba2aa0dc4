// Decoders of kernel VAEs in plain numbers. They run in the page, whose script holds the text of these functions, so each
// uses nothing but its arguments; and in tests, beside the engine.

/** p(w|z) of the family vae, (128): a bank of normals, what of it z decides, and the norms to bend back to. */
export interface GatedDecoder {
  kind: 'gated';
  /** Numbers of a kernel, components, dimensions of z. */
  d: number;
  c: number;
  l: number;
  /** [C, d(d+1)/2], rows of the lower triangles of P_c. */
  factor: ArrayLike<number>;
  /** [C, d], P_c μ_c */
  offset: ArrayLike<number>;
  /** [l − 1, C] and [C]. */
  slope: ArrayLike<number>;
  bias: ArrayLike<number>;
  /** [C] each. */
  scaleSlope: ArrayLike<number>;
  logScale: ArrayLike<number>;
  /** log ‖w‖ and log ‖x‖ at knots, [2, m]. */
  knots: ArrayLike<number>;
}

/** p(w|z) of the family vae-pixels with dense networks, (15). */
export interface PixelDecoder {
  kind: 'pixels';
  d: number;
  l: number;
  hidden: number;
  /** Kernels [inputs, outputs] and biases of the three layers. */
  layers: { kernel: ArrayLike<number>; bias: ArrayLike<number> }[];
  /** [d], where it does not depend on z. */
  logStd?: ArrayLike<number>;
  scale: number;
}

export type Decoder = GatedDecoder | PixelDecoder;

/** A kernel of p(w|z): its mean where the noise [d] is 0. */
export function decodeKernel(decoder: Decoder, z: ArrayLike<number>, noise: ArrayLike<number>): number[] {
  if (decoder.kind === 'pixels') {
    const { d, layers, logStd, scale } = decoder;
    let x = Array.from(z);
    layers.forEach(({ kernel, bias }, i) => {
      const outputs = bias.length;
      const next = Array.from({ length: outputs }, (_, o) => {
        let sum = bias[o];
        for (let j = 0; j < x.length; j++) sum += x[j] * kernel[j * outputs + o];
        return i < layers.length - 1 && sum < 0 ? Math.expm1(sum) : sum; // ELU
      });
      x = next;
    });
    return Array.from({ length: d }, (_, j) => {
      const log = (logStd ? logStd[j] : x[d + j]) + 4;
      const floored = Math.max(log, 0) + Math.log1p(Math.exp(-Math.abs(log))) - 4; // softplus
      return scale * (x[j] + Math.exp(floored) * noise[j]);
    });
  }
  const { d, c, l, factor, offset, slope, bias, scaleSlope, logScale, knots } = decoder;
  // π(z) and log s(z)
  const logits = Array.from({ length: c }, (_, k) => {
    let sum = bias[k];
    for (let j = 0; j < l - 1; j++) sum += z[j] * slope[j * c + k];
    return sum;
  });
  const largest = Math.max(...logits);
  const shares = logits.map((x) => Math.exp(x - largest));
  const total = shares.reduce((a, b) => a + b, 0);
  let log = 0;
  for (let k = 0; k < c; k++) {
    shares[k] /= total;
    log += shares[k] * (scaleSlope[k] * z[l - 1] + logScale[k]);
  }
  // P(z) x = h(z) + s(z) ε
  const s = Math.exp(log);
  const triangle = (d * (d + 1)) / 2;
  const x: number[] = [];
  for (let j = 0, at = 0; j < d; at += ++j) {
    let rest = s * noise[j];
    let pivot = 0;
    for (let k = 0; k < c; k++) {
      if (shares[k] < 1e-9) continue;
      rest += shares[k] * offset[k * d + j];
      pivot += shares[k] * factor[k * triangle + at + j];
      for (let i = 0; i < j; i++) rest -= shares[k] * factor[k * triangle + at + i] * x[i];
    }
    x.push(rest / pivot);
  }
  // back to the norms of kernels: log ‖w‖ through the knots, with slope 1 outside
  const m = knots.length / 2;
  const norm = 0.5 * Math.log(x.reduce((sum, v) => sum + v * v, 0) + 1e-30);
  let k = 0;
  while (k < m - 2 && norm > knots[m + k + 1]) k++;
  let bent: number;
  if (norm <= knots[m]) bent = knots[0] + norm - knots[m];
  else if (norm >= knots[2 * m - 1]) bent = knots[m - 1] + norm - knots[2 * m - 1];
  else
    bent = knots[k] + ((norm - knots[m + k]) * (knots[k + 1] - knots[k])) / (knots[m + k + 1] - knots[m + k]);
  return x.map((v) => v * Math.exp(bent - norm));
}
