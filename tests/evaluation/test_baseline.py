"""A baseline's figures and our lead, counted by hand on four triplets."""

import dataclasses
import doctest

import pytest

from fec_cache.evaluation import baseline
from fec_cache.evaluation.baseline import (
    Rivals,
    figures_of,
    measure_baseline,
    recipe_key,
    recipe_name,
)
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.config import RunConfig
from fec_cache.training.config import TrainConfig
from tests.evaluation.known_heads import Constant, Distance, Opposite, head_of, labelled_triplets
from tests.recipes import toy_recipe


def measured(*kinds, **rivals):
    labelled = labelled_triplets()
    heads = {f"run-{num}": head_of(kind) for num, kind in enumerate(kinds)}
    ours = [figures_of(head_of(Distance), labelled)]
    found = measure_baseline(Rivals(heads, labelled, **rivals), ours, labelled.table.rows)
    return found, labelled


def test_the_baseline_is_the_mean_over_its_runs_and_our_lead_is_over_that():
    # A constant head earns a third of each triplet, the opposite one nothing: a sixth together.
    found, labelled = measured(Constant, Opposite)
    assert found.runs == ("run-0", "run-1")
    assert [credit.tolist() for credit in found.credits] == [
        pytest.approx([1 / 3] * 4),
        [0.0] * 4,
    ]
    assert found.evaluation.overall.accuracy == pytest.approx(1 / 6)
    assert list(found.comparisons) == ["one-class", "two-class", "three-class", "all"]
    assert [c.num_triplets for c in found.comparisons.values()] == [1, 2, 1, 4]
    for comparison in found.comparisons.values():
        assert comparison.accuracy_a == 1.0
        assert comparison.difference == pytest.approx(5 / 6)
        assert comparison.num_seeds == (1, 2)
    assert found.comparison is found.comparisons["all"]
    # The same runs beside a worse head: the lead becomes a lag.
    other = found.beside(
        [figures_of(head_of(Opposite), labelled)], labelled.table, labelled.table.rows
    )
    assert other.comparison.difference == pytest.approx(-1 / 6)
    assert other.evaluation is found.evaluation


def test_its_name_counts_seeds_and_says_what_it_reads():
    one, _ = measured(Constant)
    assert (one.name, one.where) == ("original recipe", "")
    two, _ = measured(Constant, Opposite, title="quick", features="toy:avgpool")
    assert (two.name, two.where) == ("quick, 2 seeds", " on toy:avgpool")


def test_its_plain_form_holds_figures_and_comparisons():
    fields = measured(Constant, features="toy")[0].to_dict()
    assert (fields["runs"], fields["title"], fields["features"]) == (
        ["run-0"],
        "original recipe",
        "toy",
    )
    assert fields["triplets"]["all"]["accuracy"] == pytest.approx(1 / 3)
    assert fields["this_head"]["difference"] == pytest.approx(2 / 3)
    assert fields["by_type"]["all"] == fields["this_head"]
    # Four triplets are too few for an interval, and JSON has no NaN.
    assert fields["this_head"]["low"] is None


def test_seeds_of_a_recipe_share_a_key_and_other_settings_or_data_do_not():
    config = RunConfig(
        (toy_recipe(4),),
        HeadConfig(),
        TrainConfig(seed=0),
        PairConfig(),
        {"digest": "d", "name": "x"},
    )
    key = recipe_key(config)
    for same in ({"train": TrainConfig(seed=7)}, {"data": {"digest": "d", "name": "y"}}):
        assert recipe_key(dataclasses.replace(config, **same)) == key
    for other in (
        {"train": TrainConfig(lr=0.5)},
        {"data": {"digest": "e"}},
        {"head": HeadConfig(hidden=(3,))},
        {"recipes": (toy_recipe(5),)},
    ):
        assert recipe_key(dataclasses.replace(config, **other)) != key


def test_runs_without_a_common_start_are_named_by_the_first():
    assert recipe_name(["alpha", "beta"]) == "alpha"
    assert recipe_name(["best_10", "best_11"]) == "best_1"
    assert recipe_name(["best"]) == "best"
    assert doctest.testmod(baseline) == (0, 1)
