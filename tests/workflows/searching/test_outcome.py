"""A search's results in words and as fields, from outcomes made by hand."""

import dataclasses
import math
from pathlib import Path

from fec_cache.search.ledger import FAILED, Outcome
from fec_cache.search.results import rank
from fec_cache.search.space import grid
from fec_cache.workflows.searching.outcome import SearchOutcome

POINTS = grid({"head": ["embedding"], "lr": [1e-3, 1e-2], "seed": [0, 1]})
OUTCOMES = [
    Outcome(p.key("s"), p.settings(), val_triplet_accuracy=share, epochs=3, duration_s=2.0)
    for p, share in zip(POINTS, (0.5, 0.6, 0.4, 0.3), strict=True)
]
RANKED = rank(OUTCOMES)
OUTCOME = SearchOutcome(Path("runs/g"), RANKED[0], RANKED, (), 4, 0, 4, 8.0, "best")


def test_the_table_and_the_winner():
    table, rate, winner, folder = OUTCOME.parts(1)
    assert table.title == "4 points, best 1 of 2 settings"
    assert len(table.rows) == 1
    assert table.rows[0][table.columns.index("val accuracy")] == "55.0 %"
    assert rate == "4 points trained in 8.0 s: 0.50 points/s"
    assert winner == (
        "Saved: the head of the best setting, seed 0, the first (not the best) of 2 seeds: 50.0 %"
    )
    assert folder == "Best head: runs/g"


def test_a_smaller_head_may_win():
    winner = dataclasses.replace(OUTCOME, winner=RANKED[1]).parts(2)[-2]
    assert "the smallest within one standard error of the best (rank 2) setting, seed 0" in winner


def test_failed_and_open_points_are_named_with_what_to_do():
    failed = Outcome("f" * 16, {"lr": 9.0}, FAILED, error="no memory")
    parts = dataclasses.replace(OUTCOME, failed=(failed,), num_open=2).parts(2)
    assert "1 point failed; see runs/g/results.csv. Try them again with --retry-failed." in parts
    assert (
        "2 points left open: the time limit was reached. Run the same command again to continue."
        in parts
    )


def test_fields_for_machines():
    fields = OUTCOME.to_dict()
    assert (fields["points"], fields["trained"], fields["choose"]) == (4, 4, "best")
    assert [entry["lr"] for entry in fields["ranked"]] == [1e-3, 1e-2]
    assert math.isclose(fields["winner"]["val_triplet_accuracy"], 0.55)
    assert fields["winner"]["saved_seed"] == 0
    assert fields["winner"]["seeds"] == 2
