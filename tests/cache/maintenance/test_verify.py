"""Verify finds and names every damage; repair drops exactly what is bad."""

import dataclasses
import os
import shutil

import h5py
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.maintenance.repair import repair_cache, repair_index
from fec_cache.cache.maintenance.verify import verify_cache, verify_index
from fec_cache.cache.manifest import write_manifest
from fec_cache.errors import CacheDamaged
from fec_cache.testing import toy


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def faces(images_dir):
    refs = toy.write_pictures(images_dir, range(12))
    (images_dir / "0005.png").write_bytes(b"no picture")
    return toy.identify(images_dir, [*refs, toy.FaceRef("missing.png", *toy.WHOLE)])


@pytest.fixture
def folder(tmp_path, images_dir, faces):
    return toy.run_toy(tmp_path / "cache", images_dir, faces).folders[0]


def problems(folder):
    return [finding.file for finding in verify_cache(folder).problems]


def remarks(folder):
    return [finding.file for finding in verify_cache(folder).remarks]


def flip(path, bit=None):
    content = bytearray(path.read_bytes())
    bit = 4 * len(content) if bit is None else bit
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_sound_cache_is_called_sound(folder):
    report = verify_cache(folder)
    assert (report.num_shards, report.num_faces) == (3, 11)
    assert (report.problems, report.remarks) == ((), ())


FILES = [
    "recipe.json",
    "manifest.json",
    "features.h5",
    "failures.csv",
    "provenance.json",
    "shards/00000.h5",
    "shards/00002.h5",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [flip, lambda p: os.truncate(p, p.stat().st_size - 1)])
def test_damage_is_named_repaired_and_redone(folder, images_dir, faces, name, damage):
    before = toy.shard_digests(folder.parent)
    order = toy.numbers_of(folder.parent, faces)
    damage(folder / name)
    assert problems(folder) == [name]
    report = repair_cache(folder)
    assert problems(folder) == []
    num_lost = {"shards/00000.h5": 4, "shards/00002.h5": 4}.get(name, 0)
    assert report.num_faces == 11 - num_lost
    assert len(report.dropped) == bool(num_lost) or name == "manifest.json"
    if not num_lost:
        assert toy.numbers_of(folder.parent, faces) == order
    summary = toy.run_toy(folder.parent, images_dir, faces)
    assert summary.num_computed == num_lost
    assert toy.shard_digests(folder.parent) == before
    assert toy.numbers_of(folder.parent, faces) == order
    assert (problems(folder), remarks(folder)) == ([], [])


def test_files_that_are_gone_are_named(folder):
    for name in ("features.h5", "failures.csv", "shards/00001.h5"):
        (folder / name).unlink()
    assert problems(folder) == ["shards/00001.h5", "features.h5", "failures.csv"]
    (folder / "manifest.json").unlink()
    assert "manifest.json" in problems(folder)
    repair_cache(folder)
    assert problems(folder) == []


def test_a_face_in_two_shards_is_named_and_the_second_struck(folder):
    shutil.copy(folder / "shards/00001.h5", folder / "shards/00003.h5")
    cache = FeatureCache.open(folder)
    manifest = cache.manifest()
    twin = dataclasses.replace(manifest.shards[1], file="shards/00003.h5", failed=())
    write_manifest(folder, dataclasses.replace(manifest, shards=(*manifest.shards, twin)))
    report = verify_cache(folder)
    assert [(p.file, p.what) for p in report.problems] == [
        ("shards/00003.h5", "repeats faces that are in shards/00001.h5")
    ]
    assert repair_cache(folder).num_faces == 11
    assert problems(folder) == []
    assert not (folder / "shards/00003.h5").exists()


def test_strangers_and_leftovers_are_remarked_and_only_leftovers_removed(folder):
    for name in ("notes.txt", "shards/odd.txt", "shards/00009.h5", ".tmp-1", "shards/.tmp-2"):
        (folder / name).write_bytes(b"x")
    assert problems(folder) == []
    assert sorted(remarks(folder)) == [
        ".tmp-1",
        "notes.txt",
        "shards/.tmp-2",
        "shards/00009.h5",
        "shards/odd.txt",
    ]
    report = repair_cache(folder)
    assert sorted(report.removed) == [".tmp-1", "shards/.tmp-2", "shards/00009.h5"]
    assert sorted(remarks(folder)) == ["notes.txt", "shards/odd.txt"]


def test_views_that_lag_behind_are_remarked_and_brought_up(folder, tmp_path, images_dir):
    more = toy.identify(images_dir, toy.write_pictures(images_dir, range(20)))

    def stop(progress):
        if progress.faces_done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy.run_toy(folder.parent, images_dir, more, on_progress=stop)
    report = verify_cache(folder)
    assert report.problems == ()
    assert "lack the newest shards" in report.remarks[0].what
    with h5py.File(folder / "features.h5") as file:
        assert len(file["face_id"]) == 11
    repair_cache(folder)
    assert verify_cache(folder).remarks == ()
    with h5py.File(folder / "features.h5") as file:
        assert len(file["face_id"]) == report.num_faces > 11


def test_a_recipe_that_nothing_else_tells_is_not_guessed(folder, images_dir, faces):
    for name in ("recipe.json", "features.h5"):
        flip(folder / name)
    with pytest.raises(CacheDamaged, match="Run the same `fec extract` that made it"):
        repair_cache(folder)
    assert toy.run_toy(folder.parent, images_dir, faces).num_computed == 0
    assert problems(folder) == []


def test_damaged_lines_of_the_index_are_named_and_struck(tmp_path, images_dir, faces):
    index_dir = tmp_path / "index"
    assert verify_index(index_dir) == ()
    assert not repair_index(index_dir)
    flip(index_dir / "images.index")
    (finding,) = verify_index(index_dir)
    assert finding.file == "images.index"
    assert finding.what.startswith("1 damaged line (")
    assert repair_index(index_dir)
    assert verify_index(index_dir) == ()
