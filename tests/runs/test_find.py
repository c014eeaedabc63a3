"""Runs by name, path, pattern or age."""

import os

import pytest

from fec_cache.errors import MissingData
from fec_cache.runs.find import all_runs, find_run, find_runs, newest_run
from fec_cache.system.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    """Runs b-1 (newest), a and b-2, and a folder that is no run."""
    for age, name in enumerate(("b-1", "a", "b-2")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        os.utime(folder / "config.json", ns=(10**18 - age, 10**18 - age))
    (tmp_path / "notes").mkdir()
    return Workspace(runs_dir=tmp_path)


def test_folders_with_a_configuration_are_runs(workspace):
    assert [folder.name for folder in all_runs(workspace.runs_dir)] == ["a", "b-1", "b-2"]
    assert newest_run(workspace.runs_dir).name == "b-1"


def test_a_run_by_name_by_path_or_the_newest(workspace, tmp_path):
    assert find_run(workspace, "a") == tmp_path / "a"
    assert find_run(workspace, str(tmp_path / "b-2")) == tmp_path / "b-2"
    assert find_run(workspace, None) == tmp_path / "b-1"
    with pytest.raises(MissingData, match=r"no run 'notes' in .* Choose one of: a, b-1, b-2\."):
        find_run(workspace, "notes")


def test_patterns_and_names_give_each_run_once_in_their_order(workspace):
    found = find_runs(workspace, "b-2, b-*,a")
    assert [folder.name for folder in found] == ["b-2", "b-1", "a"]
    with pytest.raises(MissingData, match=r"matches 'c\*'\. Available: a, b-1, b-2\."):
        find_runs(workspace, "c*")


def test_without_runs_the_next_command_is_named(tmp_path):
    empty = Workspace(runs_dir=tmp_path)
    for name in (None, "a"):
        with pytest.raises(MissingData, match=r"has no trained head\. Run: fec train-head"):
            find_run(empty, name)
    with pytest.raises(MissingData, match="Available: none"):
        find_runs(empty, "a*")


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_no_run_even_in_a_run(workspace, monkeypatch, name):
    monkeypatch.chdir(workspace.runs_dir / "a")
    with pytest.raises(MissingData, match="There is no run"):
        find_run(workspace, name)
