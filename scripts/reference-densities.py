"""Reference values of test/distributions/normal.test.ts and test/priors/closed-form.test.ts, from SciPy.

Run: python3 scripts/reference-densities.py   (needs scipy; made with 1.17)
"""
import json

import numpy as np
from scipy import stats

x = np.array([[0.3, -1.2, 2.5], [0.0, 0.4, -0.7]])
mean = np.array([0.1, -0.5, 1.0])
std = np.array([0.5, 2.0, 0.25])
covariance = np.array([[1.0, 0.3, -0.2, 0.1], [0.3, 0.5, 0.05, 0.0], [-0.2, 0.05, 0.8, 0.25], [0.1, 0.0, 0.25, 0.4]])
location = np.array([0.2, -0.1, 0.0, 0.5])
kernels = np.array([[0.5, 0.25, -0.75, 1.0], [-1.0, 0.0, 0.5, 0.5]])

print(
    json.dumps(
        {
            "logDensity": stats.norm.logpdf(x, mean, std).sum(1).tolist(),
            "logStandardDensity": stats.norm.logpdf(x).sum(1).tolist(),
            "negativeEntropy": -stats.norm.entropy(mean, std).sum(),
            # ∫ q log(q / p) by adaptive quadrature, one element at a time
            "klToStandard": sum(
                stats.norm(m, s).expect(lambda t: stats.norm.logpdf(t, m, s) - stats.norm.logpdf(t), lb=m - 12 * s, ub=m + 12 * s)
                for m, s in zip(mean, std)
            ),
            "gaussian": stats.multivariate_normal.logpdf(kernels, location, covariance).tolist(),
            "isotropic": stats.norm.logpdf(kernels, 0, 0.3).sum(1).tolist(),
        },
        indent=2,
    )
)
