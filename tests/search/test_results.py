"""Ranks worked out by hand: means over seeds, failed and pruned settings last."""

import csv
import dataclasses
import io
import math

import pytest

from fec_cache.search.ledger import FAILED, PRUNED, Outcome
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
