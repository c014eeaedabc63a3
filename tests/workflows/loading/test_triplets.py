"""Annotated triplets as rows of the toy's features."""

import dataclasses

import numpy as np
import pytest

from fec_cache.cache.catalogue import open_cache
from fec_cache.cache.joined import select_caches
from fec_cache.errors import NothingToTrain
from fec_cache.pairs.annotated import load_pairs
from fec_cache.pairs.config import PairConfig
from fec_cache.testing import toy
from fec_cache.testing.recording import RecordingReporter
from fec_cache.workflows.loading.triplets import (
    label_pairs,
    label_training,
    load_labelled,
    load_training,
    warn_of_random_weights,
)
from tests.workflows.toy_set import NUM_TEST, NUM_TRAIN, odd_of

SHARE = PairConfig(validation_share=0.2)


def test_rows_lead_to_the_features_of_the_annotated_faces(toy_workspace):
    caches = select_caches(toy_workspace.cache_dir, "toy")
    reporter = RecordingReporter()
    labelled = load_labelled(toy_workspace, "test", caches, 0.0, reporter)
    assert len(labelled.table) == labelled.counts.num_used == NUM_TEST
    annotated = load_pairs(toy_workspace.data_dir, "test").annotations.triplets
    for triplet, rows, odd in zip(annotated, labelled.table.rows, labelled.table.odd, strict=True):
        numbers = [int(ref.image[:4]) for ref in triplet.faces]
        wanted = [toy.feature_of(toy.colour_of(number)) for number in numbers]
        np.testing.assert_allclose(labelled.matrix.features[rows], wanted, rtol=1e-3)
        assert [labelled.picture_of[row] for row in rows] == list(triplet.faces)
        assert odd == odd_of(numbers)
    assert reporter.messages[-1] == f"test.csv: {NUM_TEST} rows: {NUM_TEST} used"


def test_the_digest_names_faces_and_answers_but_not_rows(toy_workspace):
    caches = select_caches(toy_workspace.cache_dir, "toy")
    pairs = load_pairs(toy_workspace.data_dir)
    digests = []
    for triplets in (pairs.annotations.triplets, pairs.annotations.triplets[1:]):
        part = dataclasses.replace(pairs.annotations, triplets=triplets)
        labelled = label_pairs(
            dataclasses.replace(pairs, annotations=part), caches, 0.0, RecordingReporter()
        )
        digests.append(labelled.digest)
    again = label_pairs(pairs, caches, 0.0, RecordingReporter()).digest
    assert digests[0] == again != digests[1]
    assert len(again) == 16


def test_training_from_folders_and_from_open_caches_is_the_same(toy_workspace):
    by_folder, sides = load_training(toy_workspace, "toy", SHARE, RecordingReporter())
    with open_cache(toy_workspace.cache_dir, "toy") as cache:
        pairs = load_pairs(toy_workspace.data_dir)
        opened, same_sides = label_training(cache, pairs, SHARE, RecordingReporter())
    assert by_folder.digest == opened.digest
    assert len(sides.train) + len(sides.validation) == NUM_TRAIN
    np.testing.assert_array_equal(sides.validation.rows, same_sides.validation.rows)
    assert not set(sides.train.rows.ravel()) & set(sides.validation.rows.ravel())


def test_triplets_without_features_are_refused_with_the_command(toy_workspace, tmp_path):
    faces = toy.solid_faces(tmp_path / "images", [1, 3])
    toy.run_toy(tmp_path / "cache", tmp_path / "images", faces)
    caches = select_caches(tmp_path / "cache", "toy")
    with pytest.raises(NothingToTrain, match="no usable triplet") as caught:
        label_pairs(load_pairs(toy_workspace.data_dir), caches, 0.0, RecordingReporter())
    assert f"{NUM_TRAIN} without a feature" in str(caught.value)
    command = f"fec extract --data {toy_workspace.data_dir} --backbone toy --layer avgpool"
    assert str(caught.value).endswith(f"Run: {command}")


def test_random_weights_are_warned_of():
    reporter = RecordingReporter()
    warn_of_random_weights([toy.toy_recipe(), toy.toy_recipe(weights="random:3:ab")], reporter)
    (warning,) = reporter.warnings
    assert warning.startswith("toy has random:3 weights")
