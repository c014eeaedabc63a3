"""The baseline's figures and lead, against its parts computed one by one."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fec_cache.evaluation.baseline import (
    NAME,
    Baseline,
    Rivals,
    figures_of,
    measure_baseline,
    recipe_key,
    recipe_name,
)
from fec_cache.evaluation.report import evaluate_head
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.config import PairConfig
from fec_cache.pairs.credit import triplet_credit
from fec_cache.runs.config import RunConfig
from fec_cache.testing.planted import planted_set
from fec_cache.training.config import TrainConfig
from tests.recipes import toy_recipe


@pytest.fixture(scope="module")
def labelled():
    features, table = planted_set(60, 90)
    return SimpleNamespace(table=table, matrix=SimpleNamespace(features=features))


def head_of(seed):
    torch.manual_seed(seed)
    return build_head(HeadConfig("embedding", (8,)), 12)


def test_the_lead_is_ours_minus_the_mean_of_theirs(labelled):
    heads = {f"plain-{seed}": head_of(seed) for seed in (1, 2)}
    ours = [figures_of(head_of(3), labelled)]
    measured = measure_baseline(Rivals(heads, labelled), ours, labelled.table.rows)
    credits = [
        triplet_credit(figures_of(head, labelled).similarity, labelled.table.odd)
        for head in heads.values()
    ]
    np.testing.assert_array_equal(np.stack(measured.credits), np.stack(credits))
    mean = float(np.mean(credits))
    assert measured.evaluation.overall.accuracy == pytest.approx(mean)
    lead = measured.comparison
    assert lead.accuracy_b == pytest.approx(mean)
    assert lead.difference == pytest.approx(ours[0].overall.accuracy - mean)
    assert lead.num_seeds == (1, 2)
    assert list(measured.comparisons)[-1] == "all"


def test_the_same_runs_beside_another_head(labelled):
    theirs = Rivals({"plain": head_of(1)}, labelled)
    first, second = ([figures_of(head_of(seed), labelled)] for seed in (3, 4))
    measured = measure_baseline(theirs, first, labelled.table.rows)
    other = measured.beside(second, labelled.table, labelled.table.rows)
    assert other.comparison == measure_baseline(theirs, second, labelled.table.rows).comparison
    assert other.evaluation is measured.evaluation


def test_seeds_have_the_accuracy_of_a_full_evaluation(labelled):
    full = evaluate_head(head_of(1), labelled.matrix.features, labelled.table)
    assert figures_of(head_of(1), labelled).overall.accuracy == full.overall.accuracy


def test_a_baseline_is_named_by_its_seeds_and_features(labelled):
    evaluation = figures_of(head_of(1), labelled)
    single = Baseline(("plain",), evaluation, {})
    assert (single.name, single.where) == (NAME, "")
    several = Baseline(("a", "b"), evaluation, {}, features="toy:avgpool")
    assert (several.name, several.where) == (f"{NAME}, 2 seeds", " on toy:avgpool")


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["best-0", "best-1"], "best"),
        (["best-10", "best-1"], "best-1"),
        (["a", "b"], "a"),
        (["run_1", "run_2", "run.3"], "run"),
        (["one"], "one"),
    ],
)
def test_a_recipe_is_named_by_what_its_runs_share(names, wanted):
    assert recipe_name(names) == wanted


def test_only_the_training_seed_may_differ_within_a_recipe():
    config = RunConfig(
        (toy_recipe(3),), HeadConfig(), TrainConfig(), PairConfig(), {"digest": "d", "folder": "x"}
    )
    key = recipe_key(config)
    assert key == recipe_key(dataclasses.replace(config, train=TrainConfig(seed=9)))
    assert key == recipe_key(dataclasses.replace(config, data={"digest": "d", "folder": "y"}))
    for change in (
        {"train": TrainConfig(lr=0.5)},
        {"head": HeadConfig("embedding")},
        {"pairs": PairConfig(split_seed=1)},
        {"recipes": (toy_recipe(4),)},
        {"data": {"digest": "e"}},
    ):
        assert key != recipe_key(dataclasses.replace(config, **change))
