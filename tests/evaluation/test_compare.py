"""Paired comparison: against exact tests, and by how often it cries wolf."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from fec_cache.evaluation.compare import compare_credits, mcnemar
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap

rights = arrays(np.bool_, 30)


@given(rights, rights)
def test_mcnemar_equals_the_binomial_sum(a, b):
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    num = only_a + only_b
    tail = binom.cdf(min(only_a, only_b), num, 0.5) * 2 if only_a != only_b else 1.0
    found = mcnemar(a.astype(float), b.astype(float))
    assert found == pytest.approx(min(1.0, tail) if num else 1.0)


def planted(rng, gain, num_faces=150, num_triplets=1000):
    rows = np.argpartition(rng.random((num_triplets, num_faces)), 3, axis=1)[:, :3]
    hardness = rng.normal(0, 0.5, num_faces)[rows].sum(axis=1) + 0.5
    luck = rng.random(num_triplets)
    a, b = (luck < 1 / (1 + np.exp(-hardness - step)) for step in (gain, 0.0))
    return rows, a.astype(float), b.astype(float)


def test_a_small_true_gain_is_found_because_triplets_are_paired():
    rows, a, b = planted(np.random.default_rng(0), 0.15)
    found = compare_credits([a], [b], FaceBootstrap(rows))
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.low > 0
    assert found.p_value < 0.001
    # Two bare intervals overlap by far: the gain is 3 points, each interval 4 either way.
    alone = [FaceBootstrap(rows).mean(credit) for credit in (a, b)]
    assert alone[0].low < alone[1].high
    assert found.in_words().startswith(f"better by {100 * found.difference:.1f} +- ")
    assert found.in_words().endswith("p < 0.001")
    assert (found.only_a, found.only_b) == (((a > b).sum()), ((b > a).sum()))


def test_a_head_against_itself_is_no_difference():
    rows, a, _ = planted(np.random.default_rng(0), 0.0)
    found = compare_credits([a], [a], FaceBootstrap(rows))
    assert (found.difference, found.p_value, found.mcnemar_p) == (0.0, 1.0, 1.0)
    assert found.in_words() == "no difference on 1000 triplets"


def test_equal_heads_differ_significantly_in_one_of_twenty():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(200):
        rows, a, _ = planted(rng, 0.0, 100, 400)
        b = (rng.random(400) < a.mean()).astype(float)
        b[:300] = a[:300]
        alarms += compare_credits([a], [b], FaceBootstrap(rows, 20)).p_value < 0.05
    assert 1 <= alarms <= 20


def test_seeds_widen_the_difference_by_their_own_spread():
    rng = np.random.default_rng(1)
    rows, a, b = planted(rng, 0.1)
    spoilt = [np.where(rng.random(1000) < share, 1.0 - a, a) for share in (0.0, 0.1, 0.2)]
    bootstrap = FaceBootstrap(rows)
    found = compare_credits(spoilt, [b, b], bootstrap)
    means = [credit.mean() for credit in spoilt]
    faces = bootstrap.means(np.mean(spoilt, axis=0) - b, [np.ones(1000, bool)], bounded=False)[0]
    assert found.stderr == pytest.approx(math.sqrt(faces.stderr**2 + np.var(means, ddof=1) / 3))
    assert found.num_seeds == (3, 2)
    assert math.isnan(found.mcnemar_p)
    # Three seeds know their own spread badly: the interval is wider than two standard errors.
    assert found.high - found.low > 2 * 2 * found.stderr


def test_worse_and_too_few_in_words():
    rows, a, b = planted(np.random.default_rng(0), 0.5)
    assert compare_credits([b], [a], FaceBootstrap(rows)).in_words().startswith("worse by")
    few = compare_credits([a[:20]], [b[:20]], FaceBootstrap(rows[:20]))
    assert "too few triplets" in few.in_words() or few.difference == 0
    assert math.isnan(few.p_value)
