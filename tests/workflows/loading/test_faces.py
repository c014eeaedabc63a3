"""Annotations of a data folder and the faces behind them."""

import shutil

import pytest

from fec_cache.errors import MissingData
from fec_cache.system.workspace import Workspace
from fec_cache.testing.recording import RecordingReporter
from fec_cache.workflows.loading.faces import read_splits, table_of_faces
from tests.workflows.toy_set import NUM_TEST, NUM_TRAIN


def test_both_splits_are_read_and_every_face_is_identified(toy_workspace):
    reporter = RecordingReporter()
    splits = read_splits(toy_workspace, reporter)
    assert [len(split.triplets) for split in splits] == [NUM_TRAIN, NUM_TEST]
    faces = table_of_faces(toy_workspace, splits, reporter)
    assert (len(faces.present), len(faces.missing)) == (26 * 4, 0)
    assert reporter.steps[-1] == ("Looking at images", 26 * 4, 26 * 4, "")
    assert reporter.warnings == []


def test_a_missing_test_split_is_a_warning_and_a_missing_train_split_an_error(
    toy_workspace, tmp_path
):
    workspace = Workspace(tmp_path / "data", tmp_path / "cache", tmp_path / "runs")
    workspace.data_dir.mkdir()
    shutil.copy(toy_workspace.data_dir / "train.csv", workspace.data_dir)
    reporter = RecordingReporter()
    (train,) = read_splits(workspace, reporter)
    assert len(train.triplets) == NUM_TRAIN
    assert reporter.warnings == [f"{workspace.data_dir} has no test split; only train.csv is used."]
    with pytest.raises(MissingData, match=r"None of 80 faces has an image") as caught:
        table_of_faces(workspace, [train], reporter)
    assert f"Expected the images in {workspace.images_dir}." in str(caught.value)
    assert "fec download" not in str(caught.value)
    (workspace.data_dir / "train.csv").rename(workspace.data_dir / "test.csv")
    with pytest.raises(MissingData, match=r"neither train\.csv"):
        read_splits(workspace, reporter)
