"""What a command prints, on a terminal, in a pipe and for machines."""

import io
import json

import pytest
from rich.console import Console as RichConsole

from fec_cache.cli.console import Console, PlainSnapshots, draw_table, live_table
from fec_cache.system.reporter import Snapshot, Table

TABLE = Table("Heads", ["name", "accuracy"], [["first", "50.0 %"], ["[bold]", "7.0 %"]])


def test_tables_are_left_aligned_in_the_first_column_and_take_no_markup():
    assert draw_table(TABLE).splitlines() == [
        "Heads",
        "name     accuracy",
        "─────────────────",
        "first      50.0 %",
        "[bold]      7.0 %",
    ]


def test_a_terminal_shows_the_newest_snapshot():
    screen = io.StringIO()
    terminal = RichConsole(file=screen, force_terminal=True, width=120, color_system=None)
    with live_table(terminal) as show:
        show(Snapshot("12/24 points", TABLE))
    assert "12/24 points" in screen.getvalue()
    assert "50.0 %" in screen.getvalue()


def test_a_pipe_gets_a_line_now_and_then_and_at_the_end(capsys):
    show = PlainSnapshots("Searching")
    show(Snapshot("12/24 points", TABLE, "; best so far 50.0 %"))
    assert capsys.readouterr().err == ""
    show(Snapshot("24/24 points", TABLE, "; best so far 61.0 %", is_end=True))
    assert capsys.readouterr().err == "Searching: 24/24 points; best so far 61.0 %\n"


def test_machines_get_one_object_with_the_warnings(capsys):
    console = Console(as_json=True)
    console.message("for people")
    console.warning("random weights")
    console.warning("random weights")
    with console.progress("Extracting", "faces") as step:
        step(1, 2, "")
    console.result([TABLE], {"share": float("nan"), "warnings": ["few triplets"]})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "share": None,
        "warnings": ["random weights", "few triplets"],
    }
    assert printed.err == "Note: random weights\nNote: random weights\n"


@pytest.mark.parametrize(("verbosity", "expected"), [(-1, ""), (0, "line\n")])
def test_quiet_prints_results_only(capsys, verbosity, expected):
    console = Console(verbosity=verbosity)
    console.message("line")
    console.warning("worth a look")
    assert capsys.readouterr() == (expected, "Note: worth a look\n" if verbosity >= 0 else "")
    console.result(["text", TABLE], {})
    assert capsys.readouterr().out == f"text\n{draw_table(TABLE)}\n"
