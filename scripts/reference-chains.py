"""Chains and what ArviZ says about them: test/fixtures/chains.json, for test/mcmc/diagnostics.test.ts.

Run: python3 scripts/reference-chains.py   (needs arviz-stats; made with 0.8.0)
"""
import json
from pathlib import Path

import numpy as np
from arviz_stats.base import array_stats
from scipy import stats

random = np.random.default_rng(5)


def autoregressive(chains, draws, rho):
    x = np.empty((chains, draws))
    x[:, 0] = random.normal(size=chains)
    for i in range(1, draws):
        x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * random.normal(size=chains)
    return x


shifted = autoregressive(4, 40, 0.3) + np.array([0, 0, 0.5, 1.5])[:, None]
spread = autoregressive(4, 40, 0.2) * np.array([1, 1, 1, 4])[:, None]
cases = {
    "autocorrelated": autoregressive(4, 60, 0.8),
    "antithetic": autoregressive(3, 60, -0.6),
    "one chain, odd length": autoregressive(1, 51, 0.5),
    "means differ": shifted,
    "spreads differ": spread,
    "heavy tails": np.tan(np.pi * (stats.norm.cdf(autoregressive(4, 40, 0.4)) - 0.5)),
    "ties": np.round(autoregressive(2, 40, 0.5)),
    "shortest": autoregressive(2, 8, 0.1),
}
quantiles = [1e-7, 0.001, 0.2, 0.5, 0.77, 0.999]
print(
    result := json.dumps(
        {
            "quantiles": [{"p": p, "x": float(stats.norm.ppf(p))} for p in quantiles],
            "cases": [
                {
                    "name": name,
                    # ArviZ wants two chains; halves of one are two
                    "rHat": float(array_stats.rhat(x, chain_axis=0, draw_axis=1)) if len(x) > 1 else None,
                    "bulk": float(array_stats.ess(x, chain_axis=0, draw_axis=1, method="bulk")),
                    "meanError": float(array_stats.mcse(x, chain_axis=0, draw_axis=1, method="mean")),
                    "chains": x.tolist(),
                }
                for name, x in ((name, np.round(x, 4)) for name, x in cases.items())
            ],
        }
    )
)
Path(__file__).parent.parent.joinpath("test/fixtures/chains.json").write_text(result + "\n")
