"""What a running search shows, on a terminal and elsewhere."""

import io

from rich.console import Console as RichConsole

from fec_cache.cli.console import Console
from fec_cache.reports.search_table import (
    PlainSearch,
    headline,
    live_table,
    shown_search,
    table_of,
)
from fec_cache.search.ledger import FAILED, Outcome
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


def test_a_terminal_shows_the_best_ten():
    screen = io.StringIO()
    terminal = RichConsole(file=screen, force_terminal=True, width=120, color_system=None)
    with live_table(terminal) as show:
        show(progress())
    text = screen.getvalue()
    assert "12/24 points" in text
    assert "61.0 %" in text
    assert "52.0 %" in text
    assert "51.0 %" not in text  # the eleventh


def test_elsewhere_a_plain_line_now_and_at_the_end(capsys):
    show = PlainSearch()
    show(progress())
    assert capsys.readouterr().err == ""
    show(progress(num_done=24, work=1.0))
    assert "24/24 points" in (told := capsys.readouterr().err)
    assert "best so far 61.0 %" in told


def test_failures_are_told_even_where_no_progress_is(capsys):
    bad = Outcome("k" * 16, {"lr": 1.0}, FAILED, error="no memory")
    with shown_search(Console(as_json=True)) as show:
        show(SearchProgress(1, 2, 0, 0.5, "", (bad,), (bad,)))
    assert "point kkkkkkkkkkkkkkkk failed: no memory" in capsys.readouterr().err


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
