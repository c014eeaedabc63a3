"""Ranks by hand: means over seeds, failed and pruned ones behind, the one-standard-error rule."""

import csv
import dataclasses
import io
import math

import pytest

from fec_cache.errors import BadOption
from fec_cache.search.choice import check_rule, choose
from fec_cache.search.ledger import FAILED, PRUNED, Outcome
from fec_cache.search.pruners.halving import Halving, parse_halving
from fec_cache.search.results import by_setting, rank, results_csv
from fec_cache.search.space import grid


def outcomes():
    """Means 0.6 and 0.5; the luckiest single seed is of the worse setting."""
    points = grid({"lr": [1e-3, 1e-2], "seed": [0, 1, 2]})
    accuracies = [0.5, 0.6, 0.7, 0.2, 0.9, 0.4]
    return [
        Outcome(p.key("s"), p.settings(), val_triplet_accuracy=a, val_loss=0.1, epochs=3)
        for p, a in zip(points, accuracies, strict=True)
    ]


def test_rank_is_by_mean_over_seeds_with_standard_error():
    first, second = rank(outcomes()[::-1])
    assert (first.settings["lr"], second.settings["lr"]) == (1e-3, 1e-2)
    assert first.val_triplet_accuracy == pytest.approx(0.6)
    assert first.stderr == pytest.approx(0.1 / math.sqrt(3))
    assert first.num_seeds == 3
    assert first.first.settings["seed"] == 0
    assert math.isnan(rank(outcomes()[:1])[0].stderr)


def test_a_setting_with_a_failed_seed_stands_behind():
    broken = [dataclasses.replace(o, status=FAILED, error="x") for o in outcomes()[:1]]
    first, second = rank([*broken, *outcomes()[1:]])
    assert (first.settings["lr"], second.settings["lr"]) == (1e-2, 1e-3)
    assert (second.status, second.num_seeds, second.first.settings["seed"]) == (FAILED, 2, 1)
    assert second.val_triplet_accuracy == pytest.approx(0.65)


def test_pruned_settings_come_last():
    pruned = [dataclasses.replace(o, status=PRUNED) for o in outcomes()[:3]]
    assert [entry.status for entry in rank([*pruned, *outcomes()[3:]])] == ["done", PRUNED]


def test_csv_has_each_point_once_with_every_setting_and_no_time():
    broken = Outcome("f" * 16, {**outcomes()[0].settings, "lr": 9.0}, FAILED, error="no memory")
    text = results_csv([broken, *outcomes()])
    slower = [dataclasses.replace(o, duration_s=99.0) for o in [*outcomes()[::-1], broken]]
    assert results_csv(slower) == text
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [row["rank"] for row in rows] == ["1"] * 3 + ["2"] * 3 + [""]
    assert [row["seed"] for row in rows[:3]] == ["0", "1", "2"]
    assert [float(row["mean_val_triplet_accuracy"]) for row in rows[:6]] == pytest.approx(
        [0.6] * 3 + [0.5] * 3
    )
    assert (rows[-1]["error"], rows[-1]["val_triplet_accuracy"]) == ("no memory", "")
    assert rows[0]["hidden"] == "256"
    table = by_setting(rows)
    assert [row["rank"] for row in table] == ["1", "2", ""]
    assert float(table[0]["val_triplet_accuracy"]) == pytest.approx(0.6)


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
    with pytest.raises(BadOption, match="--repeat-seeds 3"):
        check_rule("one-se", 1)


def test_halving_by_hand():
    halving = Halving(3)
    assert halving.num_rungs(9, 20) == 1
    assert halving.num_rungs(2, 20) == halving.num_rungs(9, 2) == 0
    assert halving.epochs_at(0, 1, 20) == 7
    # Never before a sixth of the epochs, unless eta alone says so.
    assert Halving(2).num_rungs(1000, 1000) == 2
    assert [Halving(2).epochs_at(rung, 2, 20) for rung in (0, 1)] == [5, 10]
    assert Halving(9).num_rungs(32, 20) == 1
    figures = {"a": [0.1, 0.9], "b": [0.6, 0.6], "c": [0.9, math.nan], "d": [0.5, 0.5]}
    assert halving.survivors(figures) == ("a", "b")
    assert halving.survivors({"x": [0.5], "y": [0.5]}) == ("x",)
    assert parse_halving("halving:4") == Halving(4)
    for wrong in ("halving:1", "halving:x", "asha"):
        with pytest.raises(BadOption):
            parse_halving(wrong)
