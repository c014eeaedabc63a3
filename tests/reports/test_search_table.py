"""A search as text: headline and table."""

from fec_cache.reports.search_table import SearchBoard, headline, table_of
from fec_cache.search.ledger import Outcome
from fec_cache.search.progress import SearchProgress
from fec_cache.search.results import rank
from fec_cache.search.space import grid


def progress(num_done=12, work=0.5):
    points = grid({"lr": [float(f"{n}e-4") for n in range(1, 13)]})
    outcomes = tuple(
        Outcome(p.key("s"), p.settings(), val_triplet_accuracy=0.5 + n / 100, epochs=3)
        for n, p in enumerate(points)
    )
    in_hand = "4 heads in training up to epoch 3"
    return SearchProgress(num_done, 24, 2, work, in_hand, outcomes[:1], outcomes)


def test_the_headline_tells_rate_and_time_left():
    assert headline(progress(), 20.0) == (
        "12/24 points, 0.50 points/s, 20.0 s left, 4 heads in training up to epoch 3"
    )


def test_snapshots_show_the_best_ten():
    snapshot = SearchBoard().snapshot(progress())
    assert snapshot.headline.startswith("12/24 points")
    accuracies = [row[-5] for row in snapshot.table.rows]
    assert (accuracies[0], accuracies[-1], len(accuracies)) == ("61.0 %", "52.0 %", 10)
    assert snapshot.detail == "; best so far 61.0 %"
    assert not snapshot.is_end


def test_the_last_snapshot_is_marked():
    assert SearchBoard().snapshot(progress(num_done=24, work=1.0)).is_end


def test_the_table_has_no_values_of_options_that_a_head_does_not_read():
    points = grid({"head": ["embedding", "scatter"], "lr": [0.01], "epochs": [5], "loss": ["bce"]})
    points += grid({"head": ["embedding"], "lr": [0.02], "epochs": [5]})
    outcomes = [
        Outcome(p.key("s"), p.settings(), val_triplet_accuracy=0.5 - n / 100, epochs=1)
        for n, p in enumerate(points)
    ]
    columns, rows = table_of(rank(outcomes), 10)
    assert columns[1:-5] == ["head", "lr"]
    assert [row[1] for row in rows] == ["embedding", "scatter", "embedding"]
    assert [row[2] for row in rows] == ["0.01", "-", "0.02"]


def test_no_time_is_left_when_every_point_is_done():
    assert "left" not in headline(progress(num_done=24, work=0.6), 20.0)
