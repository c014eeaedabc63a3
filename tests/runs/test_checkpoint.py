"""Runs on disk: no pickles, same bytes, named refusals."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from fec_cache.errors import HeadMismatch, MissingData
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.checkpoint import load_head, save_run
from fec_cache.runs.config import RunConfig, load_config
from fec_cache.runs.find import newest_run
from fec_cache.runs.history import load_history
from fec_cache.testing.planted import planted_split
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit
from tests.recipes import toy_recipe

RECIPE = toy_recipe(12)


@pytest.fixture
def run(tmp_path):
    features, train, validation = planted_split()
    config = RunConfig(
        (RECIPE,),
        HeadConfig("embedding", hidden=(16, 8)),
        TrainConfig(epochs=2, batch_size=64),
        PairConfig(),
        {"digest": "d"},
    )
    result = fit(features, train, validation, config.head, config.train)
    folder = tmp_path / "runs" / "one"
    save_run(folder, result.head, config, result.history, {"val_triplet_accuracy": 0.5})
    return folder, config, result, features


def test_what_is_loaded_is_what_was_saved(run):
    folder, config, result, features = run
    head, found = load_head(folder)
    assert found == config
    a, b = torch.from_numpy(features[:9]), torch.from_numpy(features[9:18])
    assert torch.equal(head.probability(head(a, b)), result.head.probability(result.head(a, b)))
    assert load_history(folder) == result.history


def test_files_are_plain(run):
    folder, config, result, _ = run
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "head.safetensors",
        "history.csv",
        "metrics.json",
        "train_faces.txt",
    ]
    tensors = load_file(folder / "head.safetensors")
    weight = result.head.state_dict()["layers.0.weight"].numpy()
    np.testing.assert_array_equal(tensors["layers.0.weight"], weight)
    fields = json.loads((folder / "config.json").read_text())
    assert fields["fingerprints"] == [config.recipe.fingerprint]
    assert fields["head"]["hidden"] == [16, 8]
    header = (folder / "history.csv").read_text().splitlines()[0]
    assert header == "epoch,train_loss,val_loss,val_triplet_accuracy,seconds"


def test_same_seed_same_file(run, tmp_path):
    folder, config, _, features = run
    _, train, validation = planted_split()
    again = fit(features, train, validation, config.head, config.train)
    save_run(tmp_path / "two", again.head, config, again.history, {})
    name = "head.safetensors"
    assert (tmp_path / "two" / name).read_bytes() == (folder / name).read_bytes()


def test_weights_of_another_shape_are_refused(run):
    folder, _, _, _ = run
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"embedding_dim": 16', '"embedding_dim": 4'))
    with pytest.raises(HeadMismatch, match=r"does not fit its config\.json .* Train the head"):
        load_head(folder)


def test_truncated_weights_are_refused(run):
    folder, _, _, _ = run
    path = folder / "head.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(HeadMismatch, match="Train the head again"):
        load_head(folder)


def test_garbage_config_and_missing_run(run):
    folder, _, _, _ = run
    (folder / "config.json").write_text("{}")
    with pytest.raises(HeadMismatch, match="cannot be read"):
        load_config(folder)
    with pytest.raises(MissingData, match="fec train-head"):
        load_config(folder / "nowhere")
    with pytest.raises(MissingData, match="fec train-head"):
        newest_run(folder / "nowhere")


def test_newest_run_is_the_last_written(run):
    import os

    folder, config, result, _ = run
    other = folder.parent / "a-later-one"
    save_run(other, result.head, config, result.history, {})
    stamp = (folder / "config.json").stat().st_mtime_ns
    os.utime(other / "config.json", ns=(stamp + 10**9, stamp + 10**9))
    assert newest_run(folder.parent) == other
