"""Figures of a recipe over its seeds: against plain loops, with empty groups and one seed."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from fec_cache.evaluation.compare import compare_by_type, compare_credits
from fec_cache.evaluation.measures.bootstrap import FaceBootstrap
from fec_cache.evaluation.report import evaluate_head
from fec_cache.evaluation.seeds import credits_of, mean_over_seeds
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.credit import triplet_credit

NUM_FACES, NUM_TRIPLETS = 60, 300


def table_of(rng, types=(0, 1, 2)):
    rows = np.argpartition(rng.random((NUM_TRIPLETS, NUM_FACES)), 3, axis=1)[:, :3]
    odd = rng.integers(0, 3, NUM_TRIPLETS)
    return TripletTable(rows, odd, rng.choice(types, NUM_TRIPLETS), np.eye(3, dtype=int)[odd] * 6)


def evaluations(table, num):
    features = np.random.default_rng(9).normal(size=(NUM_FACES, 6)).astype(np.float32)
    found = []
    for seed in range(num):
        torch.manual_seed(seed)
        found.append(evaluate_head(build_head(HeadConfig("embedding"), 6), features, table, 50))
    return found


def test_the_mean_is_the_mean_and_its_interval_holds_faces_and_seeds():
    table = table_of(np.random.default_rng(0))
    found = evaluations(table, 4)
    mean = mean_over_seeds(found, table, table.rows)
    credits = [triplet_credit(one.similarity, table.odd) for one in found]
    masks = [table.types == kind for kind in range(3)] + [np.ones(NUM_TRIPLETS, bool)]
    faces = FaceBootstrap(table.rows).means(np.mean(credits, axis=0), masks)
    for place, mask in enumerate(masks):
        single = [credit[mask].mean() for credit in credits]
        group = mean.groups[place]
        assert group.accuracy == pytest.approx(np.mean(single))
        seeds = np.var(single, ddof=1) / 4
        assert group.stderr == pytest.approx(math.sqrt(faces[place].stderr ** 2 + seeds))
        freedom = (faces[place].stderr ** 2 + seeds) ** 2 / (seeds**2 / 3)
        half = student.ppf(0.975, freedom) * group.stderr
        assert group.low == pytest.approx(group.accuracy - half)
        assert group.high == pytest.approx(group.accuracy + half)
    for name in ("auc", "brier", "balanced_accuracy", "calibration_error"):
        single = [getattr(one.pairs, name) for one in found]
        assert getattr(mean.pairs, name) == pytest.approx(np.mean(single))
    assert mean.macro.value == pytest.approx(np.mean([one.macro.value for one in found]))
    assert mean.macro.stderr > 0


def test_one_seed_keeps_its_interval():
    table = table_of(np.random.default_rng(1))
    [one] = evaluations(table, 1)
    mean = mean_over_seeds([one], table, table.rows)
    wanted = FaceBootstrap(table.rows).mean(triplet_credit(one.similarity, table.odd))
    overall = mean.overall
    assert (overall.accuracy, overall.low, overall.high) == pytest.approx(
        (wanted.value, wanted.low, wanted.high)
    )
    assert dataclasses.replace(mean.pairs, ceiling=None) == dataclasses.replace(
        one.pairs, ceiling=None
    )


def test_an_empty_type_stays_empty():
    table = table_of(np.random.default_rng(2), types=(1,))
    mean = mean_over_seeds(evaluations(table, 2), table, table.rows)
    empty, full, other, overall = mean.groups
    assert [group.num_triplets for group in mean.groups] == [0, NUM_TRIPLETS, 0, NUM_TRIPLETS]
    for group in (empty, other):
        assert math.isnan(group.accuracy)
        assert math.isnan(group.low)
    assert (full.accuracy, full.low) == (overall.accuracy, overall.low)
    assert math.isnan(mean.macro.value)


def test_comparison_by_type_takes_each_type_alone_and_all_at_last():
    table = table_of(np.random.default_rng(3), types=(0, 2))
    ours, theirs = (
        credits_of(part, table) for part in (evaluations(table, 2), evaluations(table, 1))
    )
    found = compare_by_type(ours, theirs, table.types, table.rows)
    assert list(found) == ["one-class", "three-class", "all"]
    mask = table.types == 2
    wanted = compare_credits(
        [credit[mask] for credit in ours],
        [credit[mask] for credit in theirs],
        FaceBootstrap(table.rows[mask]),
    )
    assert found["three-class"].difference == pytest.approx(wanted.difference)
    assert found["three-class"].stderr == pytest.approx(wanted.stderr)
    assert found["three-class"].num_triplets == mask.sum()
    assert found["all"].num_triplets == NUM_TRIPLETS
