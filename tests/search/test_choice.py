"""The rules that choose the winner, on accuracies with known means and standard errors."""

import pytest

from fec_cache.errors import BadOption
from fec_cache.search.choice import check_rule, choose
from fec_cache.search.ledger import PRUNED, Outcome
from fec_cache.search.results import rank
from fec_cache.search.space import grid


def test_one_standard_error_takes_the_cheapest_that_is_near():
    points = grid({"lr": [1e-3, 1e-2, 1e-1], "seed": [0, 1]})
    accuracies = [0.60, 0.64, 0.61, 0.61, 0.58, 0.59]  # means 0.62 +- 0.02, 0.61, 0.585
    ranked = rank(
        [
            Outcome(p.key("s"), p.settings(), val_triplet_accuracy=a)
            for p, a in zip(points, accuracies, strict=True)
        ]
    )
    cost = {1e-3: 3.0, 1e-2: 2.0, 1e-1: 1.0}

    def weights(entry):
        return cost[entry.settings["lr"]]

    assert choose(ranked, "best", weights).settings["lr"] == 1e-3
    assert choose(ranked, "one-se", weights).settings["lr"] == 1e-2
    cost[1e-2] = 3.0
    assert choose(ranked, "one-se", weights).settings["lr"] == 1e-3


def test_one_standard_error_needs_several_seeds():
    check_rule("one-se", 2)
    check_rule("best", 1)
    with pytest.raises(BadOption, match="--repeat-seeds 3"):
        check_rule("one-se", 1)
    with pytest.raises(BadOption, match="choose is 'luck', but it must be one of: best, one-se"):
        check_rule("luck", 3)


def test_a_single_seed_has_no_standard_error_and_the_best_wins():
    points = grid({"lr": [1e-3, 1e-2]})
    ranked = rank(
        [
            Outcome(p.key("s"), p.settings(), val_triplet_accuracy=a)
            for p, a in zip(points, [0.60, 0.61], strict=True)
        ]
    )
    assert choose(ranked, "one-se", lambda entry: entry.settings["lr"]).settings["lr"] == 1e-2


def test_a_pruned_setting_never_wins_by_being_cheap():
    points = grid({"lr": [1e-3, 1e-2], "seed": [0, 1]})
    statuses = ["done", "done", PRUNED, PRUNED]
    ranked = rank(
        [
            Outcome(p.key("s"), p.settings(), status, val_triplet_accuracy=a)
            for p, status, a in zip(points, statuses, [0.5, 0.6, 0.55, 0.55], strict=True)
        ]
    )
    assert choose(ranked, "one-se", lambda entry: -entry.settings["lr"]).settings["lr"] == 1e-3
