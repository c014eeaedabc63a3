import dataclasses
import os
import shutil
import tempfile
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fec_cache.cache.cache import FeatureCache
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import extract
from fec_cache.testing import toy
from fec_cache.testing.toy import counts, hide, load, numbers_of, shard, show, solid_faces

OPTIONS = ExtractConfig(device="cpu", batch_size=2, num_workers=1, shard_faces=4)


def table_values(folder):
    """What features.h5 shows; its bytes hold the second it was made in."""
    with h5py.File(folder / "features.h5") as file:
        return file["face_id"][:].tolist(), file["features"][:].tobytes()


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


def test_failed_faces_are_tried_again_until_they_are_readable(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(6))
    hide(images_dir, 1, 4, 5)
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (0, 3, 3, 0)
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (3, 0, 3, 0)
    show(images_dir, 4)
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (3, 1, 2, 0)
    cache = FeatureCache.open(cache_dir / toy.toy_recipe().folder_name)
    assert {face.image for face in cache.manifest().failed} == {"0001.png", "0005.png"}
    show(images_dir, 1, 5)
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (4, 2, 0, 0)
    assert cache.manifest().failed == ()
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (6, 0, 0, 0)
    assert sorted(numbers_of(cache_dir, faces)) == list(range(6))


@pytest.mark.parametrize("struck", [(0,), (1,), (0, 1), (2,)])
def test_damaged_shards_are_recomputed_bit_by_bit_recovered_faces_too(
    images_dir, cache_dir, struck
):
    faces = solid_faces(images_dir, range(8))
    hide(images_dir, 0, 1, 2, 3, 6)  # a whole piece and one face of another
    toy.run_toy(cache_dir, images_dir, faces)
    show(images_dir, 0, 1, 2, 3, 6)
    toy.run_toy(cache_dir, images_dir, faces)
    whole, order = toy.shard_digests(cache_dir), numbers_of(cache_dir, faces)
    assert order == [4, 5, 7, 0, 1, 2, 3, 6]
    for number in struck:
        os.truncate(shard(cache_dir, number), 99)
    summary = toy.run_toy(cache_dir, images_dir, faces)
    assert summary.num_damaged_shards == len(struck)
    assert summary.num_failed == 0
    assert summary.num_computed == sum({0: 3, 1: 4, 2: 1}[number] for number in struck)
    assert toy.is_whole(summary)
    assert numbers_of(cache_dir, faces) == order
    assert toy.shard_digests(cache_dir) == whole


def test_a_failure_and_its_mending_struck_together_leave_a_cache_without_either(
    images_dir, cache_dir
):
    faces = solid_faces(images_dir, range(8))
    toy.run_toy(cache_dir, images_dir, faces)
    never_failed = toy.shard_digests(cache_dir)
    shutil.rmtree(cache_dir)
    hide(images_dir, 6)
    toy.run_toy(cache_dir, images_dir, faces)
    show(images_dir, 6)
    toy.run_toy(cache_dir, images_dir, faces)
    for number in (1, 2):
        os.truncate(shard(cache_dir, number), 99)
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (4, 4, 0, 0)
    assert numbers_of(cache_dir, faces) == list(range(8))
    assert toy.shard_digests(cache_dir) == never_failed


def test_faces_added_in_the_middle_are_added_and_no_other_computed(images_dir, cache_dir):
    faces = solid_faces(images_dir, [0, 2, 4, 6, 8, 10])
    toy.run_toy(cache_dir, images_dir, faces)
    before = toy.shard_digests(cache_dir)
    grown = solid_faces(images_dir, range(11))
    assert counts(toy.run_toy(cache_dir, images_dir, grown)) == (6, 5, 0, 0)
    assert numbers_of(cache_dir, grown) == [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9]
    assert before.items() < toy.shard_digests(cache_dir).items()


def test_faces_that_are_asked_for_no_more_stay(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(4))
    toy.run_toy(cache_dir, images_dir, faces)
    few = toy.identify(images_dir, [faces.present[1].ref])
    assert counts(toy.run_toy(cache_dir, images_dir, few)) == (1, 0, 0, 0)
    assert numbers_of(cache_dir, faces) == [0, 1, 2, 3]


def test_a_changed_picture_gets_a_new_feature_and_the_old_one_is_not_served(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(3))
    toy.run_toy(cache_dir, images_dir, faces)
    toy.write_solid(images_dir, "0001.png", (255, 255, 255))
    changed = toy.identify(images_dir, [face.ref for face in faces.present])
    assert counts(toy.run_toy(cache_dir, images_dir, changed)) == (2, 1, 0, 0)
    matrix = load(cache_dir)
    row = matrix.rows()[changed.present[1].face_id]
    assert matrix.features[row].tolist() == [1, 1, 1]


def test_a_picture_that_changes_during_the_run_is_a_failure(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(3))
    toy.write_solid(images_dir, "0001.png", (255, 255, 255))
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (0, 2, 1, 0)
    assert numbers_of(cache_dir, faces) == [0, 2]


def interrupt_when(num_faces):
    def on_progress(progress):
        if progress.faces_done >= num_faces:
            raise KeyboardInterrupt

    return on_progress


@pytest.mark.parametrize("num_faces", [1, 4, 5, 9, 12])
def test_an_interrupt_keeps_sealed_pieces_and_ends_all_threads(images_dir, cache_dir, num_faces):
    faces = solid_faces(images_dir, range(12))
    unbroken = cache_dir.with_name("unbroken")
    toy.run_toy(unbroken, images_dir, faces)
    with pytest.raises(KeyboardInterrupt):
        toy.run_toy(cache_dir, images_dir, faces, on_progress=interrupt_when(num_faces))
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
    sealed = (num_faces - 1) // 4 * 4
    assert counts(toy.run_toy(cache_dir, images_dir, faces)) == (sealed, 12 - sealed, 0, 0)
    assert toy.shard_digests(cache_dir) == toy.shard_digests(unbroken)


LAYERS = ("avgpool", "layer1")


def passes(cache_dir, images_dir, faces):
    """How many faces went through the network to bring both layers up to date."""
    backbone = toy.toy_backbone(LAYERS)
    recipes = [toy.toy_recipe(layer) for layer in LAYERS]
    caches = [FeatureCache.create(cache_dir, recipe) for recipe in recipes]
    options = dataclasses.replace(OPTIONS, batch_size=1)
    assert toy.is_whole(extract(faces, images_dir, backbone, caches, options))
    # The first one also goes the plain way, to compare.
    return max(0, len(backbone.module.shapes) - 1)


@pytest.mark.parametrize("ahead", LAYERS)
@pytest.mark.parametrize("num_faces", [5, 9, 12])
def test_a_layer_that_is_ahead_waits_for_the_other(images_dir, cache_dir, ahead, num_faces):
    faces = solid_faces(images_dir, range(12))
    unbroken = cache_dir.with_name("unbroken")
    assert passes(unbroken, images_dir, faces) == 12
    with pytest.raises(KeyboardInterrupt):
        toy.run_toy(cache_dir, images_dir, faces, (ahead,), on_progress=interrupt_when(num_faces))
    assert passes(cache_dir, images_dir, faces) == 12
    for layer in LAYERS:
        assert numbers_of(cache_dir, faces, layer) == list(range(12))
    assert toy.shard_digests(cache_dir) == toy.shard_digests(unbroken)
    assert passes(cache_dir, images_dir, faces) == 0


def test_layers_with_other_gaps_fill_each_its_own(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(12))
    passes(cache_dir, images_dir, faces)
    whole = toy.shard_digests(cache_dir)
    shard(cache_dir, 0, "avgpool").unlink()
    shard(cache_dir, 2, "layer1").unlink()
    assert passes(cache_dir, images_dir, faces) == 8
    assert toy.shard_digests(cache_dir) == whole


def test_a_struck_shard_leaves_the_table_before_it_is_redone(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(12))
    folder = toy.run_toy(cache_dir, images_dir, faces).folders[0]
    before = table_values(folder)
    shard(cache_dir, 1).write_bytes(b"damaged")
    with pytest.raises(KeyboardInterrupt):
        toy.run_toy(cache_dir, images_dir, faces, on_progress=interrupt_when(1))
    with h5py.File(folder / "features.h5") as file:
        assert file["features"].shape == (8, 3)
        assert np.isfinite(file["features"][:]).all()
    toy.run_toy(cache_dir, images_dir, faces)
    assert table_values(folder) == before


NUMBERS = st.sets(st.integers(0, 11), max_size=12)
LIVES = st.lists(
    st.fixed_dictionaries(
        {
            "asked": NUMBERS,
            "hidden": NUMBERS,
            "struck": st.sets(st.integers(0, 4), max_size=2),
            "interrupt_after": st.none() | st.integers(1, 12),
            "shard_faces": st.sampled_from([2, 3, 4]),
        }
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(lives=LIVES)
def test_no_life_of_a_cache_loses_doubles_or_mixes_up_a_face(lives):
    with tempfile.TemporaryDirectory() as folder:
        images_dir, cache_dir = Path(folder) / "images", Path(folder) / "cache"
        everything = solid_faces(images_dir, range(12))
        for life in lives:
            live(cache_dir, images_dir, everything, **life)
        summary = toy.run_toy(cache_dir, images_dir, everything)
        assert sum(counts(summary)[:2]) == 12
        assert sorted(numbers_of(cache_dir, everything)) == list(range(12))
        assert FeatureCache.open(summary.folders[0]).manifest().failed == ()


def live(cache_dir, images_dir, everything, asked, hidden, struck, interrupt_after, shard_faces):
    for number in struck:
        path = shard(cache_dir, number)
        if path.exists():
            path.write_bytes(path.read_bytes()[:-1])
    faces = dataclasses.replace(
        everything, present=tuple(everything.present[number] for number in sorted(asked))
    )
    hide(images_dir, *hidden)
    on_progress = interrupt_after and interrupt_when(interrupt_after)
    try:
        summary = toy.run_toy(
            cache_dir, images_dir, faces, on_progress=on_progress, shard_faces=shard_faces
        )
        manifest = FeatureCache.open(summary.folders[0]).manifest()
        failed = {face.face_id for face in manifest.failed}
        present = {face.face_id for face in faces.present}
        assert summary.num_failed == len(failed & present)
        stored = sum(counts(summary)[:2])
        assert stored == len(present - failed)
    except KeyboardInterrupt:
        pass
    finally:
        show(images_dir, *hidden)
