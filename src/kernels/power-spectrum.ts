// Mean power spectrum of kernels: which spatial frequencies they hold.

/**
 * Power by frequency, relative to white noise, whose power is 1 everywhere: the transform of the mean autocorrelation
 * of kernels scaled to unit length, which the mean of u uᵀ holds.
 *
 * @param directions [d, d], the mean of u uᵀ, d = h·w
 * @param points odd: frequencies each way
 * @returns [points, points]: vertical × horizontal frequency, from −½ to ½ cycles per weight, 0 in the middle
 */
export function powerSpectrum(directions: Float64Array, h: number, w: number, points: number): number[][] {
  const d = h * w;
  const wide = 2 * w - 1;
  // autocorrelation by displacement (dy, dx), each from −(side − 1) to side − 1
  const autocorrelation = new Float64Array((2 * h - 1) * wide);
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++) {
      const dy = Math.floor(i / w) - Math.floor(j / w) + h - 1;
      const dx = (i % w) - (j % w) + w - 1;
      autocorrelation[dy * wide + dx] += directions[i * d + j];
    }
  const half = (points - 1) / 2;
  return Array.from({ length: points }, (_, row) =>
    Array.from({ length: points }, (_, column) => {
      const [fy, fx] = [(row - half) / (2 * half), (column - half) / (2 * half)];
      let power = 0;
      for (let dy = 1 - h; dy < h; dy++)
        for (let dx = 1 - w; dx < w; dx++)
          power +=
            autocorrelation[(dy + h - 1) * wide + dx + w - 1] * Math.cos(2 * Math.PI * (fy * dy + fx * dx));
      return Math.max(0, power);
    }),
  );
}
