"""What is refused, and what is warned about."""

import math
import re

import numpy as np
import pytest

from fec_cache.errors import BadFeatures
from fec_cache.evaluation.checks import check_finite, check_logits, warnings_of
from fec_cache.evaluation.figures import GroupAccuracy

DISTINCT = np.tile([0.1, 0.2, 0.3], (40, 1))
GOOD = GroupAccuracy("all", 40, 0.6, 0.5, 0.7, 0.9)


def test_only_rows_that_are_used_are_checked():
    features = np.zeros((4, 2))
    features[3, 1] = math.nan
    check_finite(features, np.array([[0, 1, 2]]))
    features[0] = math.inf
    with pytest.raises(BadFeatures, match="2 of 4 test faces have features that are not finite"):
        check_finite(features, np.array([[0, 1, 2], [0, 1, 3]]))


def test_logits_are_counted_by_triplet():
    logits = np.zeros((3, 3))
    check_logits(logits)
    logits[1] = math.nan
    with pytest.raises(BadFeatures, match="answers to 1 of 3 triplets are not finite"):
        check_logits(logits)


def test_a_head_that_works_has_no_warnings():
    assert warnings_of(GOOD, DISTINCT, DISTINCT) == ()


@pytest.mark.parametrize(
    ("group", "similarity", "probability", "message"),
    [
        (GroupAccuracy("all", 0, *[math.nan] * 4), DISTINCT[:0], DISTINCT[:0], "no triplets"),
        (GroupAccuracy("all", 20, 0.6, *[math.nan] * 3), DISTINCT, DISTINCT, "20 triplets: too"),
        (GOOD, np.zeros((40, 3)), DISTINCT, "the same answer to several pairs in 100%"),
        (GOOD, DISTINCT, np.full((40, 3), 0.4), "the same P\\(similar\\) for every pair"),
        (GroupAccuracy("all", 40, 0.1, 0.0, 0.2, 0.9), DISTINCT, DISTINCT, "worse than chance"),
    ],
)
def test_each_warning(group, similarity, probability, message):
    (warning,) = warnings_of(group, similarity, probability)
    assert re.search(message, warning)
