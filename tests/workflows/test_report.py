"""`fec report`: damaged parts, and files that it must not replace."""

import random
import sys

import pytest

from fec_cache.errors import MissingExtra
from fec_cache.runs.history import load_history
from fec_cache.system.reporter import SILENT
from fec_cache.workflows.report import _results, write_report
from tests.workflows.commands import GRID


def ragged(text):
    return text.replace(",", "", 3)


BAD_TABLES = {
    "no text": lambda text: random.Random(0).randbytes(2000),
    "ragged": lambda text: ragged(text).encode(),
    "a short line more": lambda text: (text + "1,2,3\n").encode(),
    "an open quote": lambda text: (text + '"never closed').encode(),
    "no numbers": lambda text: text.replace("0.", "x.").encode(),
    "zeros": lambda text: b"\0\0\0",
    "empty": lambda text: b"",
}


def test_damaged_tables_leave_the_report_whole(place):
    place.ok("grid-search", "--epochs", "1", "--head", "embedding", "--name", "g")
    paths = [place.folder / "runs" / "g" / name for name in ("results.csv", "history.csv")]
    texts = [path.read_text() for path in paths]
    drawn = set()
    for name, damaged in BAD_TABLES.items():
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(damaged(text))
        shown = (_results(paths[0].parent, SILENT), load_history(paths[0].parent))
        # Tables that read as the same rows give the same page, and a page takes a second.
        if repr(shown) not in drawn:
            drawn.add(repr(shown))
            result = place.run("report", "--run", "g")
            assert result.exit_code == 0, (name, result.output, result.exception)


def test_damaged_results_are_told(place):
    place.ok("grid-search", "--epochs", "1", "--head", "embedding", "--name", "g")
    path = place.folder / "runs" / "g" / "results.csv"
    path.write_bytes(b"\xff\xfe,1\n")
    assert "results.csv cannot be read" in place.ok("report", "--run", "g").stderr


@pytest.mark.parametrize("name", ["config.json", "head.safetensors"])
def test_a_damaged_baseline_does_not_spoil_the_report_of_another_run(place, name):
    place.ok("train-head", "--name", "original")
    place.ok("train-head", "--epochs", "1", "--name", "mine")
    (place.folder / "runs" / "original" / name).write_bytes(b"\xff\xfe")
    place.ok("report", "--run", "mine")
    page = (place.folder / "runs" / "mine" / "report.html").read_text()
    assert "fec train-head</code> with its defaults" in page


def test_a_report_never_takes_the_place_of_another_file(place):
    train = place.folder / "data" / "train.csv"
    before = train.read_bytes()
    line = place.fails("report", "--out", "data/train.csv")
    assert "is not a fec report" in line
    assert train.read_bytes() == before
    assert "is a folder" in place.fails("report", "--out", "data")
    place.ok("report", "--out", "page.html")
    first = (place.folder / "page.html").stat().st_mtime_ns
    place.ok("report", "--out", "page.html")
    assert (place.folder / "page.html").stat().st_mtime_ns > first
    (place.folder / "notes.html").write_text("<p>mine</p>")
    place.fails("report", "--out", "notes.html")
    place.ok("report", "--out", "notes.html", "--force")
    assert "Report on one head" in (place.folder / "notes.html").read_text()


def test_report_of_an_unevaluated_grid_and_without_test_split(place):
    place.ok("grid-search", *GRID, "--name", "grid")
    place.ok("report", "--run", "grid")
    page = (place.folder / "runs" / "grid" / "report.html").read_text()
    assert "data:image/jpeg" in page
    (place.folder / "data" / "test.csv").unlink()
    result = place.ok("report", "--run", "grid", "--out", "half.html")
    assert "no test figures" in result.stderr
    page = (place.folder / "half.html").read_text()
    assert "fec evaluate" in page
    assert "<b>Note:</b> The report has no test figures: " in page


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
def test_a_missing_library_is_named_before_any_work(toy_workspace, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"needs {module}.*fec_cache\[report\]"):
        write_report(toy_workspace, None, None, False, SILENT)
