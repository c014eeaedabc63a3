"""Wrong input: what is wrong, what was expected, and what to do in the words of that command."""

import json
import shutil

import pytest
from click.testing import CliRunner

from fec_cache.cli.main import fec
from tests.workspace_fixtures import BACKBONE


@pytest.fixture
def two_caches(place):
    """A second cache that answers to the same backbone."""
    place.ok(
        "extract", "--backbone", BACKBONE, "--weights", "random:0", "--device", "cpu",
        "--layer", "layer1",
    )  # fmt: skip
    return place


def test_several_caches_are_told_apart_in_the_words_of_each_command(two_caches):
    for command in (("train-head",), ("train-head", "--features", BACKBONE)):
        line = two_caches.fails(*command)
        assert f"{BACKBONE}-layer1-" in line
        assert "Choose one with --features NAME, or NAME,NAME for several side by side." in line
    line = two_caches.fails("cache", "info")
    assert line.endswith("Choose one with fec cache info NAME.")
    line = two_caches.fails("cache", "export", "--out", "x.npz")
    assert line.endswith("Choose one with --features NAME.")
    both = f"{BACKBONE}:avgpool,{BACKBONE}:layer1"
    line = two_caches.misused("cache", "export", "--features", both, "--out", "x.npz")
    assert "a file can contain only one cache. Export each cache to its own file." in line
    assert not (two_caches.folder / "x.npz").exists()


def test_a_cache_that_is_not_there(place):
    line = place.fails("cache", "info", "nope")
    assert "Choose one of those with fec cache info, or run: fec extract --backbone nope" in line
    for name in ("verify", "repair", "prune"):
        line = place.fails("cache", name, "nope")
        assert f"contains {BACKBONE}-avgpool-" in line
        assert line.endswith("but not nope. Choose one of those.")


def test_a_run_that_is_not_there(place):
    shutil.copytree(place.folder / "runs" / "first", place.folder / "runs" / "second")
    there = "Choose one of: first, second."
    assert place.fails("compare", "first", "nope").endswith(there)
    assert place.fails("report", "--against", "nope").endswith(there)
    line = place.fails("compare", "first", "x*")
    assert line.endswith("No run in runs matches 'x*'. Available: first, second.")


def test_a_demo_that_cannot_be_is_refused_before_anything_is_made(empty):
    assert "faces is 2, but it must be between 18" in empty.misused(
        "demo", "--out", "d", "--faces", "2"
    )
    assert not (empty.folder / "d").exists()


def test_a_table_that_was_written_is_told(place):
    result = place.ok("leaderboard", "--csv", "table.csv")
    assert result.stdout.splitlines()[-1] == "Table: table.csv"
    assert (place.folder / "table.csv").is_file()


def test_a_source_that_is_not_there(empty):
    line = empty.fails("import-folder", "nowhere", "--out", "data")
    assert "There is no folder or file nowhere. Expected a folder with" in line


def test_an_empty_cache_stands_in_nobodys_way(place):
    words = ("extract", "--backbone", BACKBONE, "--weights", "random:0", "--device", "cpu")
    assert "is too little" in place.misused(*words, "--layer", "layer1", "--memory-gb", "1e-4")
    assert len(list((place.folder / "cache").glob(f"{BACKBONE}-*"))) == 2
    result = place.ok("train-head", "--epochs", "1")
    assert f"Features: {BACKBONE}:avgpool" in result.stdout


def test_a_limit_is_told_in_full_and_before_anything_is_loaded(place, monkeypatch):
    import fec_cache.workflows.extract as job

    monkeypatch.setattr(job, "load_backbone", None)
    line = place.misused("extract", "--shard-faces", "0")
    assert line.endswith("shard faces is 0, but it must be between 1 and 1048576.")
    line = place.misused("extract", "--crop-margin", "-3")
    assert line.endswith("crop margin is -3, but it must be between 0 and 2.")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("extract", "Finished shards are saved: run the same command again to continue."),
        ("grid-search", "Finished points are saved: run the same command again to continue."),
        ("download", "Finished pictures are saved: run the same command again to continue."),
        ("demo", "Finished features and heads are saved: run the same command again to continue."),
        ("synthesize", "Run the same command again to start over."),
        ("evaluate", "Run the same command again to start over."),
    ],
)
def test_an_interrupt_promises_what_is_so(monkeypatch, name, told):
    def interrupt(self, ctx):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(fec.commands[name]), "invoke", interrupt)
    words = [name, "--json"]
    result = CliRunner().invoke(fec, words)
    assert result.exit_code == 130
    assert result.stderr == f"Interrupted. {told}\n"
    assert json.loads(result.stdout)["error"] == f"Interrupted. {told}"
