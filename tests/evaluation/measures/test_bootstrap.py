"""Intervals against slow loops over pairs of triplets, and by how often they cover the truth."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fec_cache.evaluation.measures.bootstrap import FaceBootstrap

tables = arrays(np.int64, (40, 3), elements=st.integers(0, 30))
credit_values = arrays(np.float64, 40, elements=st.sampled_from([0.0, 1.0, 0.5, 1 / 3]))


def slow_stderr(units, values):
    """Every pair of triplets with a common face once, by the definition."""
    gaps = values - values.mean()
    related = [
        (s, t)
        for s, t in itertools.product(range(len(units)), repeat=2)
        if set(units[s]) & set(units[t])
    ]
    kept = 1.0 - len(related) / len(units) ** 2
    sandwich = sum(gaps[s] * gaps[t] for s, t in related) / max(kept, 0.1)
    return math.sqrt(max(sandwich, (gaps**2).sum())) / len(units)


@settings(max_examples=60, deadline=None)
@given(tables, credit_values)
def test_standard_error_equals_the_slow_loop(units, values):
    """A person may stand twice or three times in a triplet."""
    from scipy.stats import norm, t

    num_units = len(np.unique(units))
    found = FaceBootstrap(units, draws=10).mean(values)
    if num_units < 10:
        assert math.isnan(found.stderr)
        return
    few = t.ppf(0.975, max(1.0, num_units / 3 - 1)) / norm.ppf(0.975)
    assert found.stderr == pytest.approx(few * slow_stderr(units, values), abs=1e-9)
    assert found.value == pytest.approx(values.mean())


def triplets_of(rng, num_faces, num_triplets):
    keys = rng.random((num_triplets, num_faces))
    return np.argpartition(keys, 3, axis=1)[:, :3]


def test_interval_covers_where_faces_are_hard_and_triplets_alone_would_not():
    """Faces differ in how hard they are: redrawing triplets covers far less than it says."""
    rng = np.random.default_rng(3)
    means, intervals, naive = [], [], []
    for draw in range(200):
        rows = triplets_of(rng, 120, 800)
        hardness = rng.normal(0.0, 0.5, 120)
        chance = 1 / (1 + np.exp(-0.5 - hardness[rows].sum(axis=1)))
        credit = (rng.random(800) < chance).astype(float)
        intervals.append(FaceBootstrap(rows, 200, draw).mean(credit))
        means.append(credit.mean())
        naive.append(1.96 * math.sqrt(credit.mean() * (1 - credit.mean()) / 800))
    truth = np.mean(means)
    covered = np.mean([i.low <= truth <= i.high for i in intervals])
    too_sure = np.mean([abs(m - truth) < half for m, half in zip(means, naive, strict=True)])
    assert 0.89 <= covered <= 0.99
    assert too_sure < 0.75
    assert np.mean([i.stderr for i in intervals]) == pytest.approx(np.std(means), rel=0.2)


def test_triplets_without_common_faces_give_the_normal_interval():
    rng = np.random.default_rng(2)
    credit = (rng.random(3000) < 0.6).astype(float)
    found = FaceBootstrap(np.arange(9000).reshape(-1, 3), 4000).mean(credit)
    half = 1.96 * math.sqrt(credit.var(ddof=1) / 3000)
    assert (found.low, found.high) == pytest.approx(
        (credit.mean() - half, credit.mean() + half), abs=0.002
    )


def test_same_seed_same_interval_and_groups_share_draws():
    rng = np.random.default_rng(0)
    rows, credit = triplets_of(rng, 60, 300), rng.random(300)
    mask = np.arange(300) < 150
    bootstrap = FaceBootstrap(rows, 300, 7)
    both = bootstrap.means(credit, [mask, ~mask])
    assert both == FaceBootstrap(rows, 300, 7).means(credit, [mask, ~mask])
    alone = bootstrap.mean(credit, mask)
    assert (both[0].low, both[0].high) == pytest.approx((alone.low, alone.high))
    assert both[0].value == pytest.approx(credit[:150].mean())


def test_too_few_triplets_or_faces_give_no_interval():
    rng = np.random.default_rng(0)
    few = FaceBootstrap(triplets_of(rng, 60, 29)).mean(np.ones(29))
    assert few.value == 1.0
    assert few.is_too_few
    assert math.isnan(few.low)
    assert math.isnan(few.stderr)
    narrow = FaceBootstrap(triplets_of(rng, 9, 200)).mean(rng.random(200))
    assert narrow.is_too_few
    empty = FaceBootstrap(np.empty((0, 3), np.int64)).mean(np.empty(0))
    assert math.isnan(empty.value)
    assert not empty.is_too_few
    group = FaceBootstrap(triplets_of(rng, 60, 100)).mean(np.ones(100), np.zeros(100, bool))
    assert math.isnan(group.value)


def test_all_right_is_not_certain():
    rows = triplets_of(np.random.default_rng(0), 600, 200)
    found = FaceBootstrap(rows).mean(np.ones(200))
    assert found.high == 1.0
    assert 0.9 < found.low < 0.985
    wrong = FaceBootstrap(rows).mean(np.zeros(200))
    assert (wrong.low, wrong.high) == pytest.approx((0.0, 1.0 - found.low))
    constant = FaceBootstrap(rows).mean(np.full(200, 1 / 3))
    assert (constant.low, constant.high) == pytest.approx((1 / 3, 1 / 3))


def test_macro_average_weighs_types_alike():
    rng = np.random.default_rng(1)
    rows, credit = triplets_of(rng, 100, 600), (rng.random(600) < 0.7).astype(float)
    types = np.repeat([0, 1, 2], [60, 140, 400])
    groups = [types == kind for kind in range(3)]
    bootstrap = FaceBootstrap(rows)
    found = bootstrap.macro(credit, groups)
    means = [credit[types == kind].mean() for kind in range(3)]
    assert found.value == pytest.approx(np.mean(means))
    # The small group decides: its standard error is a third of the macro's at the least.
    assert found.stderr > bootstrap.mean(credit, groups[0]).stderr / 3
    assert found.low < found.value < found.high
    assert math.isnan(bootstrap.macro(credit, [*groups, np.zeros(600, bool)]).value)
