"""Verify finds and names every damage."""

import dataclasses
import shutil

import h5py
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.maintenance.repair import repair_cache
from fec_cache.cache.maintenance.verify import verify_cache
from fec_cache.cache.manifest import write_manifest
from fec_cache.testing import toy


def problems(folder):
    return [finding.file for finding in verify_cache(folder).problems]


def remarks(folder):
    return [finding.file for finding in verify_cache(folder).remarks]


def test_a_sound_cache_is_called_sound(folder):
    report = verify_cache(folder)
    assert (report.num_shards, report.num_faces) == (3, 11)
    assert (report.problems, report.remarks) == ((), ())


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
