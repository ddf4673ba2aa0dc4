// The rows of the density table: families of priors, and the variants of the VAE that are worth a row.

export interface ComparedPrior {
  /** On the command line, and of its folder. */
  name: string;
  label: string;
  family: string;
  /** What differs from the family's defaults. */
  config: Readonly<Record<string, unknown>>;
}

const PIXELS = { whitening: 'none' };

/** From the plainest to the richest; a new row is one line. */
export const comparedPriors: readonly ComparedPrior[] = [
  { name: 'standard-normal', label: 'N(0, I)', family: 'normal', config: { std: 1 } },
  { name: 'normal', label: 'N(0, s²I)', family: 'normal', config: {} },
  { name: 'log-uniform', label: 'log-uniform', family: 'log-uniform', config: {} },
  { name: 'laplace', label: 'Laplace', family: 'laplace', config: {} },
  { name: 'correlated', label: 'stationary normal', family: 'correlated', config: {} },
  { name: 'gaussian', label: 'N(μ, Σ)', family: 'gaussian', config: {} },
  { name: 'student-t', label: "Student's t", family: 'student-t', config: {} },
  { name: 'scale-mixture', label: 'scale mixture', family: 'scale-mixture', config: {} },
  { name: 'mixture', label: 'mixture of normals', family: 'mixture', config: {} },
  { name: 'flow', label: 'RealNVP', family: 'flow', config: {} },
  { name: 'vae-pixels', label: 'VAE of pixels', family: 'vae', config: PIXELS },
  {
    name: 'vae-convolutional',
    label: 'VAE of pixels, convolutional',
    family: 'vae',
    config: { ...PIXELS, networks: 'convolutional', hidden: 32 },
  },
  {
    name: 'vae-vamp',
    label: 'VAE of pixels, p(z) vamp',
    family: 'vae',
    config: { ...PIXELS, latentPrior: 'vamp' },
  },
  {
    name: 'vae-aggregate',
    label: 'VAE of pixels, p(z) aggregate',
    family: 'vae',
    config: { ...PIXELS, latentPrior: 'aggregate' },
  },
  {
    name: 'vae-hierarchical',
    label: 'VAE of pixels, p(z) hierarchical',
    family: 'vae',
    config: { ...PIXELS, latentPrior: 'hierarchical' },
  },
  { name: 'vae', label: 'VAE, default settings', family: 'vae', config: { whitening: 'mixture' } },
];
