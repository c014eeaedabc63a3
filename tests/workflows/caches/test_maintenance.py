"""Repairing, exporting, pruning and removing the toy's cache."""

import shutil

import h5py
import numpy as np
import pytest

from fec_cache.errors import BadOption, FecError, MissingData
from fec_cache.system.workspace import Workspace
from fec_cache.testing import toy
from fec_cache.testing.recording import RecordingReporter
from fec_cache.workflows.caches.maintenance import (
    export_one,
    prune_caches,
    remove_caches,
    repair_caches,
)


@pytest.fixture
def workspace(toy_origin, tmp_path):
    """A copy: these calls change caches."""
    for name in ("data", "cache"):
        shutil.copytree(toy_origin / name, tmp_path / name)
    return Workspace(tmp_path / "data", tmp_path / "cache", tmp_path / "runs")


@pytest.fixture
def folder(workspace):
    return workspace.cache_dir / toy.toy_recipe().folder_name


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def test_damage_is_repaired_and_what_is_sound_is_left_alone(workspace, folder):
    report = repair_caches(workspace.cache_dir, [folder], RecordingReporter())
    assert report.parts == [f"{folder.name}: 104 faces kept; nothing to repair"]
    flip(folder / "shards" / "00000.h5")
    report = repair_caches(workspace.cache_dir, [folder], RecordingReporter())
    assert report.parts[0].startswith(f"{folder.name}: 100 faces kept; 1 item dropped; rebuilt: ")
    assert report.fields["caches"][0]["num_faces"] == 100
    assert not report.fields["index_mended"]


def test_a_cache_that_cannot_be_repaired_stops_no_other(workspace, folder):
    broken = workspace.cache_dir / "broken-00000000"
    broken.mkdir()
    (broken / "recipe.json").write_text("{}")
    reporter = RecordingReporter()
    with pytest.raises(FecError, match="broken"):
        repair_caches(workspace.cache_dir, [broken, folder], reporter)
    assert reporter.messages == [f"{folder.name}: 104 faces kept; nothing to repair"]


def test_export_has_features_with_paths(workspace, tmp_path):
    out = tmp_path / "all.h5"
    report = export_one(workspace, "toy", out, None, False, RecordingReporter())
    assert report.parts[0].startswith(f"{out}: 104 faces as hdf5, ")
    assert report.parts[0].endswith("; 104 with image path and box")
    with h5py.File(out) as file:
        for row in (0, 50, 103):
            number = int(file["image"].asstr()[row][:4])
            wanted = toy.feature_of(toy.colour_of(number))
            np.testing.assert_allclose(file["features"][row], wanted, rtol=1e-3)


@pytest.mark.parametrize(
    ("features", "name", "words"),
    [("a,b", "all.h5", "Export each cache to its own file"), (None, "all.csv", "unknown suffix")],
)
def test_export_refuses_two_caches_and_unknown_formats(workspace, features, name, words):
    with pytest.raises(BadOption, match=words):
        export_one(workspace, features, workspace.data_dir / name, None, False, RecordingReporter())


def test_unused_faces_are_pruned_once_they_are_known(workspace, folder):
    train = workspace.data_dir / "train.csv"
    train.write_text("".join(train.read_text().splitlines(keepends=True)[:4]))
    reporter = RecordingReporter()
    (line,) = prune_caches(workspace, [folder], True, True, reporter).parts
    assert "0 leftover files and 76 unused faces would be removed" in line
    report = prune_caches(workspace, [folder], True, False, reporter)
    assert "76 unused faces removed" in report.parts[0]
    assert report.fields["caches"][0]["num_faces"] == 76
    next(workspace.images_dir.glob(train.read_text()[1:9])).unlink()
    with pytest.raises(MissingData, match="so their features cannot be identified"):
        prune_caches(workspace, [folder], True, False, reporter)


def test_whole_caches_are_removed(workspace, folder):
    (line,) = remove_caches([folder], is_dry=True).parts
    assert line.startswith(f"{folder.name}: would be deleted, ")
    assert folder.is_dir()
    report = remove_caches([folder], is_dry=False)
    assert report.parts[0].startswith(f"{folder.name}: deleted, ")
    assert report.fields["caches"][0]["size_bytes"] > 0
    assert not folder.exists()
