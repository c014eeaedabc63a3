"""A set of one-colour pictures with toy features, and workspaces that went further."""

import itertools

import numpy as np
import pytest

from fec_cache.system.workspace import Workspace
from fec_cache.testing import toy
from tests.workflows.commands import QUICK, names
from tests.workflows.toy_set import identified, write_split


@pytest.fixture(scope="session")
def toy_origin(tmp_path_factory):
    """Folders of data and cache; 20 groups of four faces to train on, and 6 to test."""
    folder = tmp_path_factory.mktemp("toy")
    images = folder / "data" / "images"
    numbers = np.random.default_rng(0).permutation(26 * 4) * 2
    refs = toy.write_pictures(images, numbers.tolist())
    groups = [numbers[start : start + 4].tolist() for start in range(0, len(numbers), 4)]
    triplets = [list(itertools.combinations(group, 3)) for group in groups]
    write_split(folder / "data", "train", itertools.chain(*triplets[:20]))
    write_split(folder / "data", "test", itertools.chain(*triplets[20:]))
    cache_dir = folder / "cache"
    toy.run_toy(cache_dir, images, identified(refs, images, cache_dir), batch_size=64)
    return folder


@pytest.fixture
def toy_workspace(toy_origin, tmp_path):
    """The shared data and cache, with a folder of runs for this test."""
    return Workspace(toy_origin / "data", toy_origin / "cache", tmp_path / "runs")


@pytest.fixture
def measured(place):
    """The run `first` with its evaluation and report."""
    place.ok("report", "--run", "first")
    assert {"evaluation.json", "model_card.md", "report.html"} <= names(
        place.folder / "runs" / "first"
    )
    return place


@pytest.fixture
def three(place):
    for seed in ("0", "1", "2"):
        place.ok("train-head", *QUICK, "--seed", seed, "--name", f"small-{seed}")
    return place
