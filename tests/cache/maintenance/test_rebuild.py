import dataclasses

import numpy as np
import pytest

from fec_cache.cache.maintenance.rebuild import (
    delete_leftovers,
    find_leftovers,
    manifest_from_shards,
    shard_paths,
    sound_manifest,
)
from fec_cache.cache.manifest import Manifest, ShardEntry, write_manifest
from fec_cache.cache.shards import write_shard
from tests.cache.damage import flip_bit

FINGERPRINT = "ab" * 32


def seal(folder, name, *numbers, fingerprint=FINGERPRINT):
    """Write a shard of numbered faces and give its entry in a rebuilt manifest."""
    face_ids = [f"{number:032x}" for number in numbers]
    features = np.ones((len(numbers), 3), np.float16)
    sha256 = write_shard(folder / "shards" / name, fingerprint, face_ids, features)
    return ShardEntry(f"shards/{name}", len(numbers), sha256, "rebuilt")


@pytest.fixture
def entries(tmp_path):
    return [seal(tmp_path, "00000.h5", 1, 2), seal(tmp_path, "00001.h5", 3)]


def test_a_manifest_is_rebuilt_from_intact_shards(tmp_path, entries):
    manifest, problems = manifest_from_shards(tmp_path, FINGERPRINT)
    assert manifest == Manifest(FINGERPRINT, tuple(entries))
    assert problems == ()


def test_damaged_foreign_repeated_and_misnamed_shards_are_left_out(tmp_path, entries):
    seal(tmp_path, "00002.h5", 9, fingerprint="cd" * 32)
    seal(tmp_path, "00003.h5", 4, 2)
    seal(tmp_path, "copy.h5", 7)
    flip_bit(tmp_path / "shards" / "00001.h5")
    manifest, problems = manifest_from_shards(tmp_path, FINGERPRINT)
    assert manifest.shards == (entries[0],)
    words = ["00001.h5 does not match its own seal", "00002.h5 belongs to", "repeats a face"]
    assert [word in problem for word, problem in zip(words, problems, strict=True)] == [True] * 3


def test_an_intact_manifest_is_taken_as_it_is(tmp_path, entries):
    written = Manifest(FINGERPRINT, (dataclasses.replace(entries[1], plan="p"),))
    write_manifest(tmp_path, written)
    assert sound_manifest(tmp_path, FINGERPRINT) == (written, ())


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_lost_manifest_is_rebuilt_and_the_reason_given(tmp_path, entries, damage):
    if damage == "damaged":
        (tmp_path / "manifest.json").write_bytes(b"{")
    manifest, problems = sound_manifest(tmp_path, FINGERPRINT)
    assert manifest.shards == tuple(entries)
    assert len(problems) == 1
    assert ("is missing" if damage == "missing" else "is not readable") in problems[0]


def test_a_new_folder_has_an_empty_manifest(tmp_path):
    assert sound_manifest(tmp_path, FINGERPRINT) == (Manifest(FINGERPRINT), ())


def test_leftovers_are_unnamed_shards_and_temporary_files(tmp_path, entries):
    manifest = Manifest(FINGERPRINT, (entries[0],))
    for name in (".tmp-1", "shards/.tmp-2", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    leftovers = [str(path.relative_to(tmp_path)) for path in find_leftovers(tmp_path, manifest)]
    assert leftovers == ["shards/00001.h5", ".tmp-1", "shards/.tmp-2"]
    delete_leftovers(tmp_path, manifest)
    assert find_leftovers(tmp_path, manifest) == ()
    assert [path.name for path in shard_paths(tmp_path)] == ["00000.h5"]
    assert (tmp_path / "notes.txt").exists()
