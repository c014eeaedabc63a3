"""Calibration error against scikit-learn's curve."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve

from fec_cache.evaluation.measures.reliability import reliability

probabilities = arrays(np.float64, 60, elements=st.integers(0, 20).map(lambda n: n / 20))
outcomes = arrays(np.bool_, 60)


@settings(max_examples=40)
@given(probabilities, outcomes)
def test_diagram_equals_scikit_learns(probability, outcome):
    found = reliability(probability, outcome, 8)
    observed, predicted = calibration_curve(outcome, probability, n_bins=8, strategy="quantile")
    assert found.predicted == pytest.approx(predicted)
    assert found.observed == pytest.approx(observed)
    assert sum(found.counts) == 60
    gaps = np.abs(observed - predicted)
    assert found.error == pytest.approx((gaps * found.counts).sum() / 60)


def test_error_by_hand():
    found = reliability(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0, 1, 1, 1]), 2)
    assert found.counts == (2, 2)
    assert found.observed == (0.5, 1.0)
    assert found.error == pytest.approx((0.3 + 0.2) / 2)


def test_honest_probabilities_have_little_error_and_shares_count_as_outcomes():
    rng = np.random.default_rng(0)
    probability = rng.random(40_000)
    assert reliability(probability, rng.random(40_000) < probability).error < 0.01
    assert reliability(probability, probability).error == pytest.approx(0.0)
    assert reliability(probability, rng.random(40_000) < probability**2).error > 0.1


def test_constant_and_empty():
    found = reliability(np.full(30, 0.3), np.arange(30) < 12)
    assert (found.counts, found.error) == ((30,), pytest.approx(0.1))
    assert math.isnan(reliability(np.empty(0), np.empty(0, bool)).error)
