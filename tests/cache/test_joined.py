"""Caches side by side: each face's parts in one row, incomplete faces out and counted."""

import numpy as np
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.joined import caches_of_recipes, select_caches
from fec_cache.cache.recipe import label_of
from fec_cache.errors import BadOption, CacheMismatch, CacheNotFound
from fec_cache.testing import toy


def side_by_side(number):
    parts = [toy.feature_of(toy.colour_of(number), layer) for layer in ("layer1", "avgpool")]
    return np.concatenate(parts)


@pytest.fixture
def folders(tmp_path):
    """Nine faces in one cache; of these eight, and a tenth, in the other, in another order."""
    images, cache = tmp_path / "images", tmp_path / "cache"
    toy.run_toy(cache, images, toy.solid_faces(images, range(9)), ("layer1",))
    toy.run_toy(cache, images, toy.solid_faces(images, (9, 7, 8, 1, 2, 3, 4, 5, 6)))
    faces = toy.solid_faces(images, range(10))
    return cache, {face.face_id: int(face.ref.image[:4]) for face in faces.present}


def test_a_row_holds_each_caches_part_of_the_same_face(folders):
    cache, number_of = folders
    matrix = select_caches(cache, "toy:layer1,toy:avgpool").load()
    numbers = [number_of[face_id] for face_id in matrix.face_ids]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_allclose(matrix.features, [side_by_side(n) for n in numbers], rtol=1e-3)
    assert matrix.features.dtype == np.float16
    assert matrix.num_incomplete == 2
    assert [matrix.face_ids[row] for row in matrix.rows().values()] == list(matrix.face_ids)


def test_the_order_that_was_asked_for_is_the_order_of_the_parts(folders):
    cache, _ = folders
    swapped = select_caches(cache, "toy:avgpool, toy:layer1")
    one, two = select_caches(cache, "toy:layer1,toy:avgpool").load(), swapped.load()
    left = {face_id: one.features[row] for face_id, row in one.rows().items()}
    for face_id, row in two.rows().items():
        np.testing.assert_array_equal(np.roll(two.features[row], 3), left[face_id])
    assert swapped.label == "toy:avgpool + toy:layer1" == label_of(swapped.recipes)
    assert swapped.blocks == (3, 3)
    assert caches_of_recipes(cache, swapped.recipes) == swapped


def test_one_cache_is_read_as_it_is(folders):
    cache, _ = folders
    single = select_caches(cache, "toy:layer1")
    assert single.blocks == ()
    np.testing.assert_array_equal(single.load().features, toy.load(cache, "layer1").features)
    assert single.load().num_incomplete == 0


def test_mixed_precision_loses_nothing(tmp_path):
    images = tmp_path / "images"
    faces = toy.solid_faces(images, range(3))
    toy.run_toy(tmp_path, images, faces)
    toy.run_toy(tmp_path, images, faces, ("layer2",), store_dtype="float32")
    matrix = select_caches(tmp_path, "toy:avgpool,toy:layer2").load()
    assert matrix.features.dtype == np.float32
    wide = toy.load(tmp_path, "layer2", store_dtype="float32").features
    np.testing.assert_array_equal(matrix.features[:, 3:], wide)


def test_names_that_cannot_be_meant(folders):
    cache, _ = folders
    with pytest.raises(BadOption, match="more than once"):
        select_caches(cache, "toy:layer1,toy:layer1")
    with pytest.raises(BadOption, match="one of its names is empty"):
        select_caches(cache, "toy:layer1,")
    with pytest.raises(CacheMismatch, match="but not toy:layer3"):
        select_caches(cache, "toy:layer1,toy:layer3")


def test_caches_that_share_no_face_and_empty_ones(tmp_path):
    images = tmp_path / "images"
    toy.run_toy(tmp_path, images, toy.solid_faces(images, (0, 1)), ("layer1",))
    empty = FeatureCache.create(tmp_path, toy.toy_recipe())
    for names in ("toy:layer1,toy:avgpool", "toy:avgpool,toy:layer1"):
        with pytest.raises(CacheNotFound):
            select_caches(tmp_path, names).load()
    toy.run_toy(tmp_path, images, toy.solid_faces(images, (2, 3)))
    with pytest.raises(CacheNotFound, match=r"No face is in all of .*layer1.*,.*avgpool"):
        select_caches(tmp_path, "toy:layer1,toy:avgpool").load()
    assert empty.load().features.shape == (2, 3)
