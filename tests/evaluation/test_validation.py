"""The calibration error that training tells, against bins made by hand."""

import numpy as np
import pytest
import torch

from fec_cache.evaluation.validation import calibration_error
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scoring import pair_logits
from fec_cache.testing.planted import planted_split
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit


def bent(head, logit):
    """The calibrated log odds of one logit: along the first slope, then on from knot to knot."""
    slope, offset = head.calibration.tolist()
    found, before = slope * logit + offset, 1.0
    for knot, ratio in head.bends.tolist():
        found += slope * (ratio - before) * max(logit - knot, 0.0)
        before = ratio
    return found


def by_hand(head, features, table):
    """Fifteen bins of equally many pairs, pair by pair."""
    pairs = []
    for rows, odd in zip(table.rows, table.odd, strict=True):
        for left_out in range(3):
            a, b = (features[None, row] for place, row in enumerate(rows) if place != left_out)
            logit = bent(head, float(pair_logits(head, a, b)[0]))
            pairs.append((1.0 / (1.0 + np.exp(-logit)), left_out == odd))
    edges = np.quantile([chance for chance, _ in pairs], [k / 15 for k in range(1, 15)])
    bins = [[] for _ in range(15)]
    for chance, said in pairs:
        bins[sum(chance > edge for edge in edges)].append((chance, float(said)))
    return sum(abs(sum(c - s for c, s in members)) for members in bins) / len(pairs)


def test_it_is_the_mean_gap_of_fifteen_bins_after_calibration():
    features, train, validation = planted_split()
    result = fit(features, train, validation, HeadConfig("embedding", (8,)), TrainConfig(epochs=2))
    error = calibration_error(result.head, features, validation)
    assert error == pytest.approx(by_hand(result.head, features, validation), abs=2e-3)
    with torch.no_grad():
        result.head.calibration[1] += 2.0
    spoilt = calibration_error(result.head, features, validation)
    assert spoilt == pytest.approx(by_hand(result.head, features, validation), abs=2e-3)
    assert spoilt > error + 0.1
