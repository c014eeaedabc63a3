import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fec_cache.errors import CacheDamaged, StorageFailed
from fec_cache.faces import digests as module
from fec_cache.faces.digests import INDEX_NAME, ImageDigests


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def reads(monkeypatch):
    """Names of the files whose bytes are read."""
    names = []
    read_bytes = Path.read_bytes

    def spy(path):
        names.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", spy)
    return names


@pytest.fixture
def read_only(monkeypatch):
    """Make folders look read-only: the tests may run as root, whom no mode bits stop."""
    access = os.access

    def refuse(path, mode):
        return access(path, mode) and mode != os.W_OK

    return lambda: monkeypatch.setattr(os, "access", refuse)


def rows_of(cache):
    with closing(sqlite3.connect(cache / INDEX_NAME)) as connection:
        return connection.execute("SELECT * FROM images ORDER BY image").fetchall()


def test_digests_are_the_files_sha256(images, cache):
    ticks = []
    found = ImageDigests(cache).lookup(images, ["a", "c", "none"], lambda *t: ticks.append(t))
    assert found == {"a": (sha(b"a"), ""), "c": (sha(b"c"), ""), "none": ("", "no such file")}
    assert ticks == [(1, 3), (2, 3), (3, 3)]
    status = (images / "a").stat()
    assert rows_of(cache)[0] == (str(images), "a", 1, status.st_mtime_ns, sha(b"a"))
    assert [row[1] for row in rows_of(cache)] == ["a", "c"]


def test_unchanged_files_are_not_read_again(images, cache, reads):
    ImageDigests(cache).lookup(images, ["a", "b"])
    assert reads == ["a", "b"]
    found = ImageDigests(cache).lookup(images, ["a", "b", "c"])
    assert reads == ["a", "b", "c"]
    assert found["a"] == (sha(b"a"), "")


@pytest.mark.parametrize(
    ("content", "mtime_ns", "is_noticed"),
    [(b"longer", 10**18, True), (b"A", 10**18 + 1, True), (b"A", 10**18, False)],
    ids=["other size", "other mtime by a nanosecond", "same size and mtime"],
)
def test_a_change_is_noticed_by_size_or_mtime(images, cache, content, mtime_ns, is_noticed):
    os.utime(images / "a", ns=(0, 10**18))
    ImageDigests(cache).lookup(images, ["a"])
    (images / "a").write_bytes(content)
    os.utime(images / "a", ns=(0, mtime_ns))
    found = ImageDigests(cache).lookup(images, ["a"])
    assert found == {"a": (sha(content if is_noticed else b"a"), "")}
    # --rehash notices in any case, and what it finds is remembered.
    for rehash in (True, False):
        assert ImageDigests(cache, rehash).lookup(images, ["a"]) == {"a": (sha(content), "")}


def test_a_deleted_file_is_missing_though_it_is_remembered(images, cache):
    ImageDigests(cache).lookup(images, ["a"])
    (images / "a").unlink()
    assert ImageDigests(cache).lookup(images, ["a"]) == {"a": ("", "no such file")}


def test_two_folders_are_kept_apart(images, cache, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a").write_bytes(b"A")
    os.utime(images / "a", ns=(0, 10**18))
    os.utime(other / "a", ns=(0, 10**18))
    for _ in range(2):
        assert ImageDigests(cache).lookup(images, ["a"]) == {"a": (sha(b"a"), "")}
        assert ImageDigests(cache).lookup(other, ["a"]) == {"a": (sha(b"A"), "")}


def test_without_the_folder_the_memory_serves(images, cache, tmp_path):
    ImageDigests(cache).lookup(images, ["a", "b"])
    images.rename(tmp_path / "moved")
    assert ImageDigests(cache).lookup(images, ["a", "none"]) == {
        "a": (sha(b"a"), ""),
        "none": ("", f"there is no folder {images}, and no image of this name was ever cached"),
    }
    # The same name with the same bytes elsewhere is no contradiction, with other bytes it is.
    (tmp_path / "moved" / "b").write_bytes(b"B")
    ImageDigests(cache).lookup(tmp_path / "moved", ["a", "b"])
    assert ImageDigests(cache).lookup(images, ["a", "b"]) == {
        "a": (sha(b"a"), ""),
        "b": ("", f"there is no folder {images}, and several images of this name were cached"),
    }


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"x" * 600])
def test_a_damaged_index_says_what_to_do(images, cache, content):
    (cache / INDEX_NAME).write_bytes(content)
    with pytest.raises(CacheDamaged) as caught:
        ImageDigests(cache).lookup(images, ["a"])
    assert str(caught.value) == (
        f"{cache / INDEX_NAME} cannot be used as the index of image digests (file is not a "
        "database). Delete it: it is made again from the images."
    )
    (cache / INDEX_NAME).unlink()
    assert ImageDigests(cache).lookup(images, ["a"]) == {"a": (sha(b"a"), "")}


def test_another_table_of_the_same_name_is_damage(images, cache):
    with closing(sqlite3.connect(cache / INDEX_NAME)) as connection:
        connection.execute("CREATE TABLE images (name TEXT)")
    with pytest.raises(CacheDamaged, match="no such column"):
        ImageDigests(cache).lookup(images, ["a"])


def test_a_torn_index_is_damage(images, cache):
    names = [f"{number:04d}" for number in range(600)]
    for name in names:
        (images / name).touch()
    ImageDigests(cache).lookup(images, names)
    content = (cache / INDEX_NAME).read_bytes()
    (cache / INDEX_NAME).write_bytes(content[: len(content) // 2])
    with pytest.raises(CacheDamaged, match="malformed"):
        ImageDigests(cache).lookup(images, names)


def test_an_index_that_is_held_or_has_no_room_is_not_called_damaged(images, cache, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(
        module.sqlite3, "connect", lambda path, timeout: connect(path, timeout=0.01)
    )
    with closing(connect(cache / INDEX_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            StorageFailed, match=r"images\.sqlite could not be used \(database is l"
        ):
            ImageDigests(cache).lookup(images, ["a"])


def test_a_read_only_cache_without_index_works_and_stays_empty(images, cache, read_only):
    read_only()
    assert ImageDigests(cache).lookup(images, ["a"]) == {"a": (sha(b"a"), "")}
    assert list(cache.iterdir()) == []


def test_a_read_only_index_serves_and_stays_untouched(images, tmp_path, read_only, reads):
    cache = tmp_path / "ca?che #1%20"  # letters that mean something in an SQLite address
    cache.mkdir()
    ImageDigests(cache).lookup(images, ["a"])
    before = (cache / INDEX_NAME).read_bytes()
    reads.clear()
    read_only()
    assert ImageDigests(cache).lookup(images, ["a", "b"]) == {
        "a": (sha(b"a"), ""),
        "b": (sha(b"b"), ""),
    }
    assert reads == ["b"]
    assert [path.name for path in cache.iterdir()] == [INDEX_NAME]
    assert (cache / INDEX_NAME).read_bytes() == before


def test_a_read_only_index_that_was_never_filled_works(images, cache, read_only):
    (cache / INDEX_NAME).touch()
    read_only()
    assert ImageDigests(cache).lookup(images, ["a"]) == {"a": (sha(b"a"), "")}


def test_a_cache_folder_that_is_not_there_works(images, tmp_path):
    assert ImageDigests(tmp_path / "none").lookup(images, ["a"]) == {"a": (sha(b"a"), "")}
    assert not (tmp_path / "none").exists()


def test_an_interrupt_keeps_what_was_read(images, cache, reads):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ImageDigests(cache).lookup(images, ["a", "b", "c"], stop)
    reads.clear()
    ImageDigests(cache).lookup(images, ["a", "b", "c"])
    assert reads == ["c"]


def test_many_images_are_saved_as_they_come(images, cache, monkeypatch):
    monkeypatch.setattr(module, "_COMMIT_EVERY", 2)
    seen = []
    ImageDigests(cache).lookup(images, ["a", "b", "c"], lambda *_: seen.append(len(rows_of(cache))))
    assert seen == [0, 2, 2]
    assert len(rows_of(cache)) == 3


def test_a_folder_whose_name_is_not_utf8_works(cache, tmp_path, reads):
    folder = tmp_path / "im\udcff"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    for _ in range(2):
        assert ImageDigests(cache).lookup(folder, ["a"]) == {"a": (sha(b"a"), "")}
    assert reads == ["a"]
