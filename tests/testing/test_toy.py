"""The toy's features are those that its formula gives, and its checks fail on wrong ones."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from fec_cache.testing import toy


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


def test_the_module_gives_channel_means_times_the_layers_factor():
    images = torch.tensor([[1.0, 3.0], [0.0, 0.5], [0.2, 0.2]]).reshape(1, 3, 1, 2)
    features = toy.ToyModule(("avgpool", "layer1"), 0.0)(images)
    assert torch.allclose(features["avgpool"], torch.tensor([[2.0, 0.25, 0.2]]))
    assert torch.allclose(features["layer1"], torch.tensor([[4.0, 0.5, 0.4]]))


def test_copies_of_the_module_share_the_list_of_shapes():
    module = toy.ToyModule(("avgpool",), 0.0)
    copy.deepcopy(module)(torch.zeros(2, 3, 4, 4))
    assert module.shapes == [(2, 3, 4, 4)]


def test_colours_are_unique_and_features_are_shares_of_255():
    assert toy.colour_of(515) == (3, 2, 51)
    assert len({toy.colour_of(number) for number in range(65_536)}) == 65_536
    assert toy.feature_of((255, 0, 51), "layer1") == pytest.approx([2.0, 0.0, 0.4])


def test_an_extraction_stores_the_features_of_its_pictures(tmp_path, images_dir):
    faces = toy.solid_faces(images_dir, [3, 300])
    assert toy.counts(toy.run_toy(tmp_path / "cache", images_dir, faces)) == (0, 2, 0, 0)
    assert sorted(toy.numbers_of(tmp_path / "cache", faces)) == [3, 300]
    assert list(toy.shard_digests(tmp_path / "cache")) == [
        str(toy.shard(tmp_path / "cache", 0).relative_to(tmp_path / "cache"))
    ]


def test_a_picture_that_changed_its_number_is_noticed(tmp_path, images_dir):
    faces = toy.solid_faces(images_dir, [3])
    toy.run_toy(tmp_path / "cache", images_dir, faces)
    ref = dataclasses.replace(faces.present[0].ref, image="0004.png")
    renamed = dataclasses.replace(faces, present=(dataclasses.replace(faces.present[0], ref=ref),))
    with pytest.raises(AssertionError):
        toy.numbers_of(tmp_path / "cache", renamed)


def test_hidden_pictures_are_missing_until_they_are_shown(images_dir):
    refs = toy.write_pictures(images_dir, range(3))
    toy.hide(images_dir, 1)
    assert len(toy.identify(images_dir, refs).present) == 2
    toy.show(images_dir, 1)
    assert len(toy.identify(images_dir, refs).present) == 3


def test_counts_that_do_not_add_up_raise(tmp_path, images_dir):
    faces = toy.solid_faces(images_dir, [0])
    summary = toy.run_toy(tmp_path / "cache", images_dir, faces)
    assert toy.is_whole(summary)
    with pytest.raises(AssertionError, match="lost or counted twice"):
        toy.counts(dataclasses.replace(summary, num_computed=summary.num_computed + 1))


def test_store_dtype_and_layer_choose_the_cache(tmp_path, images_dir):
    faces = toy.solid_faces(images_dir, [7])
    toy.run_toy(tmp_path, images_dir, faces, layers=("layer1",), store_dtype="float32")
    matrix = toy.load(tmp_path, "layer1", store_dtype="float32")
    assert matrix.features.dtype == np.float32
    assert matrix.features[0] == pytest.approx(toy.feature_of(toy.colour_of(7), "layer1"))
