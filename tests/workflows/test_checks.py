"""Checks before torch is loaded: each raises what its workflow would raise."""

import re
from pathlib import Path

import pytest

from fec_cache.errors import BadImage, BadOption, CacheNotFound, MissingData, OutputExists
from fec_cache.extraction.config import ExtractConfig
from fec_cache.search.space import DEFAULT_GRID, space_of
from fec_cache.system.workspace import Workspace
from fec_cache.workflows.checks import (
    check_comparison,
    check_demo,
    check_evaluation,
    check_extract,
    check_prediction,
    check_report,
    check_search,
    check_training,
)


@pytest.fixture
def workspace(tmp_path):
    """Data, a cache and the runs a and b, as far as their names go."""
    for name in ("data/train.csv", "data/test.csv", "cache/toy/manifest.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in "ab":
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text("{}")
    return Workspace(tmp_path / "data", tmp_path / "cache", tmp_path / "runs")


def test_what_is_there_passes(workspace):
    check_extract(workspace, ExtractConfig(devices=("cpu", "cuda:0")))
    check_training(workspace, None, "name", "auto")
    check_evaluation(workspace, "a")
    check_comparison(workspace, "a", "b")
    check_report(workspace, None, "b")
    check_search(space_of(DEFAULT_GRID), "grid", None, 0, "best")
    check_demo(workspace.runs_dir.parent / "new", "resnet18")


def test_extract_needs_known_devices_a_known_backbone_and_data(workspace):
    with pytest.raises(BadOption, match="device 'abacus' cannot be used here"):
        check_extract(workspace, ExtractConfig(devices=("cpu", "abacus")))
    with pytest.raises(BadOption, match=r"Unknown backbone 'resnet81'. Did you mean resnet18"):
        check_extract(workspace, ExtractConfig(backbone="resnet81"))
    with pytest.raises(MissingData, match="There is no data folder none"):
        check_extract(Workspace(Path("none")), ExtractConfig())


def test_training_needs_a_good_name_a_cache_and_data(workspace):
    with pytest.raises(BadOption, match="without slashes"):
        check_training(workspace, None, "../x", "auto")
    with pytest.raises(BadOption, match="device 'abacus'"):
        check_training(workspace, None, None, "abacus")
    bare = Workspace(workspace.data_dir, Path("none"))
    expected = "none contains no features yet. Run: fec extract --backbone toy --layer layer1"
    with pytest.raises(CacheNotFound, match=f"^{re.escape(expected)}$"):
        check_training(bare, "toy:layer1,other", None, "auto")
    (workspace.data_dir / "train.csv").unlink()
    with pytest.raises(MissingData, match=r"neither train.csv nor"):
        check_training(workspace, None, None, "auto")


def test_a_search_needs_settings_that_can_be_sampled():
    space = space_of(DEFAULT_GRID)
    with pytest.raises(BadOption, match="--choose one-se needs the standard error over seeds"):
        check_search(space, "grid", None, 0, "one-se")
    with pytest.raises(BadOption, match="sampler"):
        check_search(space, "nope", None, 0, "best")


def test_measuring_needs_runs_and_a_test_split(workspace):
    with pytest.raises(MissingData, match=r"Choose one of: a, b."):
        check_evaluation(workspace, "c")
    with pytest.raises(BadOption, match="share a run"):
        check_comparison(workspace, "a", "a,b")
    with pytest.raises(MissingData, match=r"matches 'c\*'. Available: a, b."):
        check_report(workspace, "a", "c*")
    (workspace.data_dir / "test.csv").unlink()
    for check in (
        lambda: check_evaluation(workspace, "a"),
        lambda: check_comparison(workspace, "a", "b"),
    ):
        with pytest.raises(MissingData, match=r"neither test.csv nor"):
            check()


def test_a_prediction_needs_a_run_and_two_pictures(workspace, tmp_path):
    with pytest.raises(MissingData, match="There is no run 'c'"):
        check_prediction(workspace, "c", ())
    with pytest.raises(BadImage, match=r"nowhere.jpg cannot be read.*Give two pictures"):
        check_prediction(workspace, "a", (tmp_path / "nowhere.jpg",))
    assert check_prediction(workspace, "a", ()) == workspace.runs_dir / "a"


def test_a_demo_fills_its_own_folders_only(workspace):
    with pytest.raises(OutputExists, match=r"contains no demo.json"):
        check_demo(workspace.runs_dir, None)
    with pytest.raises(BadOption, match="Unknown backbone"):
        check_demo(workspace.runs_dir.parent / "new", "resnet81")
