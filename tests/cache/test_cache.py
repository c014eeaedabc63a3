import dataclasses
import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from fec_cache.cache import cache as cache_module
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.manifest import FailedFace, write_manifest
from fec_cache.errors import CacheDamaged, CacheNotFound, FecError, StorageFailed
from fec_cache.testing import toy

UNPRIVILEGED = 65534


@pytest.fixture
def cache(tmp_path):
    return FeatureCache.create(tmp_path / "cache", toy.toy_recipe())


def face_id(number):
    return f"{number:032x}"


def failure(number, reason="empty"):
    return FailedFace(face_id(number), f"{number}.png", toy.WHOLE, reason)


def rows_of(*numbers):
    return np.array([[number, 10 * number, -1] for number in numbers], np.float16).reshape(-1, 3)


def seal(cache, *numbers, failed=(), is_retry=False, reason="empty"):
    plan = f"plan-{is_retry}-{(*numbers, *failed)}"
    failures = [failure(number, reason) for number in failed]
    cache.seal(plan, [face_id(number) for number in numbers], rows_of(*numbers), failures)


def stored(cache):
    """Number of each stored face, in the order of the rows, which must hold that face's feature."""
    matrix = cache.load()
    numbers = [int(name, 16) for name in matrix.face_ids]
    assert matrix.features.dtype == np.float16
    assert matrix.features.tolist() == rows_of(*numbers).tolist()
    return numbers


def failing(cache):
    return {int(face.face_id, 16): face.reason for face in cache.manifest().failed}


def test_sealed_pieces_are_rows_in_order(cache):
    seal(cache, 1, 2)
    seal(cache, 3, 4, 5)
    assert stored(cache) == [1, 2, 3, 4, 5]
    assert cache.load().rows()[face_id(4)] == 3
    assert [entry.file for entry in cache.manifest().shards] == [
        "shards/00000.h5",
        "shards/00001.h5",
    ]


def test_an_empty_cache_says_what_to_run(cache):
    with pytest.raises(CacheNotFound, match="Run: fec extract --backbone toy --layer avgpool"):
        cache.load()
    seal(cache, failed=(1, 2))
    with pytest.raises(CacheNotFound, match="has no features yet"):
        cache.load()


def test_the_same_piece_twice_is_there_once(cache):
    seal(cache, 1, 2, failed=(3,))
    seal(cache, 1, 2, failed=(3,))
    assert stored(cache) == [1, 2]
    assert len(cache.manifest().shards) == 1
    assert len(cache.manifest().failed) == 1


def test_faces_that_another_run_stored_are_left_as_they_are(cache):
    elsewhere = FeatureCache.open(cache.folder)
    seal(elsewhere, 2, 3)
    seal(cache, 1, 2, 3, 4)
    seal(elsewhere, 4, 5)
    assert stored(cache) == [2, 3, 1, 4, 5]


def test_a_face_stored_by_one_run_is_no_failure_of_another(cache):
    seal(cache, 1, 2)
    seal(cache, failed=(2, 3))
    assert failing(cache) == {3: "empty"}
    seal(cache, 3)
    assert failing(cache) == {}


def test_recovered_faces_are_no_longer_failures(cache):
    seal(cache, 1, failed=(2, 3, 4))
    seal(cache, 3, failed=(2, 4), is_retry=True)
    assert failing(cache) == {2: "empty", 4: "empty"}
    assert stored(cache) == [1, 3]
    seal(cache, 2, 4, is_retry=True)
    assert failing(cache) == {}
    assert stored(cache) == [1, 3, 2, 4]


def test_a_retry_that_fails_again_adds_nothing_but_tells_the_new_reason(cache):
    seal(cache, failed=(1, 2))
    before = cache.manifest()
    seal(cache, failed=(1, 2), is_retry=True)
    assert cache.manifest() == before
    seal(cache, failed=(1, 2), is_retry=True, reason="truncated")
    assert failing(cache) == {1: "truncated", 2: "truncated"}
    assert len(cache.manifest().shards) == 1


def test_a_struck_retry_makes_its_faces_failures_again(cache):
    seal(cache, 1, failed=(2, 3))
    seal(cache, 2, 3, is_retry=True)
    (cache.folder / "shards/00001.h5").write_bytes(b"damaged")
    known, problems = FeatureCache.open(cache.folder).drop_damaged()
    assert known == {face_id(1)}
    assert len(problems) == 1
    assert failing(cache) == {2: "empty", 3: "empty"}


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "swap"])
def test_a_damaged_shard_is_refused_then_struck_and_its_place_taken_again(cache, damage):
    for numbers in ((1, 2), (3, 4), (5, 6)):
        seal(cache, *numbers)
    whole = toy.shard_digests(cache.folder.parent)
    path = cache.folder / "shards/00001.h5"
    if damage == "flip":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    elif damage == "truncate":
        os.truncate(path, path.stat().st_size - 1)
    elif damage == "remove":
        path.unlink()
    else:
        shutil.copy(cache.folder / "shards/00002.h5", path)
    with pytest.raises(CacheDamaged, match=r"Shard .*00001\.h5"):
        cache.load()
    known, problems = cache.drop_damaged()
    assert known == {face_id(number) for number in (1, 2, 5, 6)}
    assert [path.name in problem for problem in problems] == [True]
    assert stored(cache) == [1, 2, 5, 6]
    assert not path.exists()
    seal(cache, 3, 4)
    assert stored(cache) == [1, 2, 3, 4, 5, 6]
    assert toy.shard_digests(cache.folder.parent) == whole


def test_rows_that_the_manifest_makes_up_are_found(cache):
    seal(cache, 1, 2)
    entry = dataclasses.replace(cache.manifest().shards[0], rows=3)
    write_manifest(cache.folder, dataclasses.replace(cache.manifest(), shards=(entry,)))
    with pytest.raises(CacheDamaged, match=r"contains \(2, 3\), but the manifest says \(3, 3\)"):
        cache.load()
    assert cache.drop_damaged()[0] == frozenset()


def test_what_killed_runs_left_is_cleared_away(cache):
    seal(cache, 1, 2)
    for name in (".tmp-12", "shards/.tmp-34", "shards/00001.h5"):
        (cache.folder / name).write_bytes(b"half")
    (cache.folder / "notes.txt").write_text("mine")
    cache.drop_damaged()
    found = {str(p.relative_to(cache.folder)) for p in cache.folder.rglob("*") if p.is_file()}
    found.discard(".lock")
    assert found == {"recipe.json", "manifest.json", "shards/00000.h5", "notes.txt"}


def test_a_shard_that_no_manifest_names_does_not_exist(cache):
    seal(cache, 1, 2)
    shutil.copy(cache.folder / "shards/00000.h5", cache.folder / "shards/00001.h5")
    assert stored(cache) == [1, 2]
    seal(cache, 3)
    assert stored(cache) == [1, 2, 3]


def test_a_failing_disk_leaves_the_cache_as_it_was(cache, monkeypatch):
    seal(cache, 1, 2)
    monkeypatch.setattr(cache_module, "write_manifest", fail)
    with pytest.raises(StorageFailed):
        seal(cache, 3, 4)
    monkeypatch.undo()
    assert stored(cache) == [1, 2]
    seal(cache, 3, 4)
    assert stored(cache) == [1, 2, 3, 4]


def fail(*_):
    raise StorageFailed("full")


def test_a_manifest_of_another_recipe_is_refused(cache):
    seal(cache, 1, 2)
    other = cache.recipe.fingerprint[:8] + "0" * 56
    write_manifest(cache.folder, dataclasses.replace(cache.manifest(), fingerprint=other))
    with pytest.raises(CacheDamaged, match="belongs to recipe"):
        cache.load()


@contextmanager
def read_only(folder):
    """The folder as a user without write permission sees it; root becomes the user nobody."""
    if not hasattr(os, "seteuid"):
        pytest.skip("needs file modes")
    is_root = os.geteuid() == 0
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    folder.chmod(0o555)
    if is_root:
        os.seteuid(UNPRIVILEGED)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        os.fchdir(here)
        os.close(here)
        folder.chmod(0o755)


def test_a_read_only_cache_serves_and_says_that_it_takes_nothing(cache):
    seal(cache, 1, 2)
    # Relative, because other users may not even enter the folders above.
    relative = FeatureCache(type(cache.folder)(), cache.recipe)
    shutil.rmtree(cache.folder / "shards" / "none", ignore_errors=True)
    (cache.folder / ".lock").unlink(missing_ok=True)
    with read_only(cache.folder):
        assert stored(relative) == [1, 2]
        with pytest.raises(
            StorageFailed, match="cannot be written to: Permission denied"
        ) as caught:
            seal(relative, 3)
        with pytest.raises(StorageFailed, match="cannot be written to"):
            relative.drop_damaged()
    assert isinstance(caught.value, FecError)
    assert "choose another folder with --cache DIR" in str(caught.value)
    assert stored(cache) == [1, 2]


def test_a_cache_folder_that_is_a_file_is_reported(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(StorageFailed, match="cannot be written to: Not a directory"):
        FeatureCache.create(tmp_path / "cache", toy.toy_recipe())


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_a_lost_manifest_is_rebuilt_from_the_shards_and_no_row_is_lost(cache, damage):
    seal(cache, 1, 2, failed=(3,))
    seal(cache, 4, 5)
    path = cache.folder / "manifest.json"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    kept = {"flip": content, "truncate": content[:50], "empty": b""}
    path.unlink() if damage == "remove" else path.write_bytes(kept[damage])
    if damage != "remove":
        with pytest.raises(CacheDamaged, match="Run: fec cache repair toy-avgpool"):
            cache.load()
    known, problems = FeatureCache.open(cache.folder).drop_damaged()
    assert known == {face_id(number) for number in (1, 2, 4, 5)}
    assert len(problems) == 1
    assert stored(cache) == [1, 2, 4, 5]
    seal(cache, 3)
    assert stored(cache) == [1, 2, 4, 5, 3]
