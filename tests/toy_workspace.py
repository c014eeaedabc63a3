"""A workspace of drawn faces whose features come from the toy backbone: a fixture of all tests."""

import shutil

import pytest
from PIL import Image

from fec_cache.testing.toy import WEIGHTS, toy_backbone

NUM_FACES, NUM_TRIPLETS = 90, 240


def _load_toy(name, weights=None, layers=("avgpool",), **_):
    return toy_backbone(layers, WEIGHTS)


@pytest.fixture
def toy_networks(monkeypatch):
    """Wherever a frozen network is loaded, it is the toy."""
    monkeypatch.setattr("fec_cache.extraction.recipes.load_backbone", _load_toy)
    monkeypatch.setattr("fec_cache.workflows.extract.load_backbone", _load_toy)
    monkeypatch.setattr("fec_cache.workflows.extract.find_architecture", lambda name: None)


@pytest.fixture(scope="session")
def finished_toy(tmp_path_factory):
    """The data, a cache `toy:avgpool`, the run `toy`, and two pictures; copied for each test."""
    from fec_cache import extract, fit, synthesize
    from fec_cache.cache.catalogue import open_cache
    from fec_cache.datasets.synthetic.config import SyntheticConfig
    from fec_cache.extraction.config import ExtractConfig
    from fec_cache.heads.config import HeadConfig
    from fec_cache.pairs.annotated import load_pairs
    from fec_cache.system.reporter import SILENT
    from fec_cache.system.workspace import Workspace
    from fec_cache.training.config import TrainConfig

    folder = tmp_path_factory.mktemp("toy")
    workspace = Workspace(folder / "data", folder / "cache", folder / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fec_cache.workflows.extract.load_backbone", _load_toy)
        patch.setattr("fec_cache.workflows.extract.find_architecture", lambda name: None)
        synthesize(workspace.data_dir, SyntheticConfig(NUM_FACES, NUM_TRIPLETS), SILENT)
        extract(workspace, ExtractConfig(backbone="toy", precision="fp32", device="cpu"), SILENT)
    with open_cache(workspace.cache_dir, "toy") as cache:
        pairs = load_pairs(workspace.data_dir)
        head, train = HeadConfig("embedding", hidden=(8,)), TrainConfig(epochs=2)
        fit(cache, pairs, head, train, device="cpu", reporter=SILENT).save(folder / "runs" / "toy")
    for name, colour in (("a.png", (200, 80, 10)), ("b.png", (30, 90, 210))):
        Image.new("RGB", (8, 8), colour).save(folder / name)
    return folder


@pytest.fixture
def toy_folder(finished_toy, toy_networks, tmp_path, monkeypatch):
    """A fresh copy of the toy workspace, which is the current folder."""
    folder = tmp_path / "toy"
    shutil.copytree(finished_toy, folder, copy_function=shutil.copy2)
    monkeypatch.chdir(folder)
    return folder
