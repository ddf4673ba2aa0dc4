#!/usr/bin/env python3
"""Writes test/fixtures/em.json: a mixture of normals with full covariances as scikit-learn fits it, from given shares.

    pip install scikit-learn
    python scripts/write-em-fixture.py

Points are seeded, of three overlapping clusters. Parameters come from the M-step of the given shares, followed by a fixed
number of iterations; reg_covar is 0, so that they are those of plain maximum likelihood.
"""

import json
import pathlib

import numpy
import sklearn
from sklearn.mixture import GaussianMixture

OUT = pathlib.Path(__file__).resolve().parent.parent / "test/fixtures/em.json"
COUNT, SIZE, COMPONENTS, ITERATIONS = 150, 3, 3, 5

random = numpy.random.default_rng(0)
centres = 2 * random.normal(size=(COMPONENTS, SIZE))
turns = random.normal(size=(COMPONENTS, SIZE, SIZE))
label = numpy.arange(COUNT) % COMPONENTS
points = centres[label] + numpy.einsum("nij,nj->ni", turns[label], random.normal(size=(COUNT, SIZE)))
points = points.round(4)
shares = random.dirichlet(numpy.ones(COMPONENTS), size=COUNT) * 0.5 + 0.5 * numpy.eye(COMPONENTS)[label]
shares = (shares / shares.sum(1, keepdims=True)).round(6)
shares[:, -1] = 1 - shares[:, :-1].sum(1)

model = GaussianMixture(COMPONENTS, covariance_type="full", reg_covar=0)
model._initialize(points, shares)
for _ in range(ITERATIONS):
    _, log_shares = model._e_step(points)
    model._m_step(points, log_shares)

OUT.write_text(
    json.dumps(
        {
            "scikit-learn": sklearn.__version__,
            "iterations": ITERATIONS,
            "points": points.tolist(),
            "shares": shares.tolist(),
            "weights": model.weights_.tolist(),
            "means": model.means_.tolist(),
            "covariances": model.covariances_.tolist(),
            "logDensities": model.score_samples(points).tolist(),
            "responsibilities": model.predict_proba(points).tolist(),
        }
    )
    + "\n"
)
