import hashlib
import os
import time
from pathlib import Path

import pytest

from fec_cache.faces import digests as module
from fec_cache.faces.digests import INDEX_NAME, ImageDigests, read_index

OLD_NS = 10**18


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, ns=(0, OLD_NS))
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
    read_regular = module.read_regular

    def spy(path):
        names.append(path.name)
        return read_regular(path)

    monkeypatch.setattr(module, "read_regular", spy)
    return names


@pytest.fixture
def read_only(monkeypatch):
    """Make the index unwritable: the tests may run as root, whom no mode bits stop."""
    opened = Path.open

    def refuse(path, mode="r", *args, **kwargs):
        if set(mode) & set("wa+"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, mode, *args, **kwargs)

    def apply():
        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(Path, "write_bytes", lambda path, _: refuse(path, "wb"))

    return apply


def rows_of(cache):
    return sorted((*key, *entry) for key, entry in read_index(cache / INDEX_NAME).entries.items())


def test_digests_are_the_files_sha256(images, cache):
    ticks = []
    actual = ImageDigests(cache).lookup(images, ["a", "c", "none"], lambda *t: ticks.append(t))
    assert actual == {"a": (sha(b"a"), ""), "c": (sha(b"c"), ""), "none": ("", "no such file")}
    assert ticks == [(1, 3), (2, 3), (3, 3)]
    status = (images / "a").stat()
    assert rows_of(cache)[0] == (str(images), "a", 1, status.st_mtime_ns, sha(b"a"))
    assert status.st_mtime_ns == OLD_NS
    assert [row[1] for row in rows_of(cache)] == ["a", "c"]


def test_unchanged_files_are_not_read_again(images, cache, reads):
    ImageDigests(cache).lookup(images, ["a", "b"])
    assert reads == ["a", "b"]
    actual = ImageDigests(cache).lookup(images, ["a", "b", "c"])
    assert reads == ["a", "b", "c"]
    assert actual["a"] == (sha(b"a"), "")


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
    actual = ImageDigests(cache).lookup(images, ["a"])
    assert actual == {"a": (sha(content if is_noticed else b"a"), "")}
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


def test_without_the_folder_the_index_is_used(images, cache, tmp_path):
    ImageDigests(cache).lookup(images, ["a", "b"])
    images.rename(tmp_path / "moved")
    assert ImageDigests(cache).lookup(images, ["a", "none"]) == {
        "a": (sha(b"a"), ""),
        "none": ("", f"there is no folder {images}, and no image of this name was cached"),
    }
    # The same name with the same bytes elsewhere is no contradiction, with other bytes it is.
    (tmp_path / "moved" / "b").write_bytes(b"B")
    ImageDigests(cache).lookup(tmp_path / "moved", ["a", "b"])
    assert ImageDigests(cache).lookup(images, ["a", "b"]) == {
        "a": (sha(b"a"), ""),
        "b": ("", f"there is no folder {images}, and several images of this name were cached"),
    }


def filled(images, cache):
    ImageDigests(cache).lookup(images, ["a", "b", "c"])
    return (cache / INDEX_NAME).read_bytes()


def test_every_flipped_bit_is_found_and_no_wrong_digest_is_ever_served(images, cache):
    content = filled(images, cache)
    wanted = {name: (sha(name.encode()), "") for name in "abc"}
    true_rows = set(rows_of(cache))
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (cache / INDEX_NAME).write_bytes(flipped)
        assert read_index(cache / INDEX_NAME).damaged_lines, bit
        assert set(rows_of(cache)) < true_rows
        if bit % 97 == 0:
            assert ImageDigests(cache).lookup(images, ["a", "b", "c"]) == wanted
            assert read_index(cache / INDEX_NAME).damaged_lines == ()


@pytest.mark.parametrize("content", [b"no index at all" * 100, b"\n\n\n", b"\xff\x00", b"0 []\n"])
def test_a_damaged_index_is_rebuilt_by_reading(images, cache, content, reads, caplog):
    (cache / INDEX_NAME).write_bytes(content)
    assert ImageDigests(cache).lookup(images, ["a"]) == {"a": (sha(b"a"), "")}
    assert reads == ["a"]
    assert "damaged lines are ignored" in caplog.text
    ImageDigests(cache).lookup(images, ["a"])
    assert reads == ["a"]


def test_a_partly_written_line_damages_no_other(images, cache, reads):
    content = filled(images, cache)
    (cache / INDEX_NAME).write_bytes(content[:-3])
    assert [row[1] for row in rows_of(cache)] == ["a", "b"]
    reads.clear()
    ImageDigests(cache).lookup(images, ["a", "b", "c"])
    assert reads == ["c"]
    # Another process may append at any moment, even to a torn line.
    (cache / INDEX_NAME).write_bytes(content[:-3])
    module._append_to(cache / INDEX_NAME, module._line(("f", "d"), (1, 2, "e")))
    index = read_index(cache / INDEX_NAME)
    assert index.damaged_lines == (3,)
    assert index.entries["f", "d"] == (1, 2, "e")


def test_an_index_that_cannot_be_read_or_written_costs_a_reading(images, cache, caplog):
    (cache / INDEX_NAME).mkdir()
    assert ImageDigests(cache).lookup(images, ["a"]) == {"a": (sha(b"a"), "")}
    assert "Is a directory" in caplog.text


def test_an_index_of_many_old_lines_is_rewritten(images, cache):
    digests = ImageDigests(cache)
    digests.lookup(images, ["a"])
    (cache / INDEX_NAME).write_bytes((cache / INDEX_NAME).read_bytes() * 1100)
    digests.lookup(images, ["a"])
    assert read_index(cache / INDEX_NAME).num_lines == 1
    assert [path.name for path in cache.iterdir()] == [INDEX_NAME]


def test_a_picture_younger_than_the_clocks_tick_is_read_again(images, cache, reads):
    (images / "a").write_bytes(b"1")
    now_ns = time.time_ns()
    os.utime(images / "a", ns=(0, now_ns))
    assert ImageDigests(cache).lookup(images, ["a"])["a"] == (sha(b"1"), "")
    (images / "a").write_bytes(b"2")
    os.utime(images / "a", ns=(0, now_ns))
    assert ImageDigests(cache).lookup(images, ["a"])["a"] == (sha(b"2"), "")
    # Its digest is remembered all the same, for a machine without the pictures.
    assert rows_of(cache) == [(str(images), "a", 1, -1, sha(b"2"))]


def test_a_clock_that_went_back_hides_no_change(images, cache):
    ahead_ns = time.time_ns() + 10**12
    os.utime(images / "a", ns=(0, ahead_ns))
    assert ImageDigests(cache).lookup(images, ["a"])["a"] == (sha(b"a"), "")
    (images / "a").write_bytes(b"A")
    assert ImageDigests(cache).lookup(images, ["a"])["a"] == (sha(b"A"), "")


def test_a_pipe_is_refused_without_waiting(images, cache):
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(images / "pipe")
    actual = ImageDigests(cache).lookup(images, ["pipe", "."])
    assert actual["pipe"] == ("", "cannot be read: not a regular file")
    assert actual["."] == ("", "cannot be read: Is a directory")


def test_a_read_only_cache_without_index_works_and_stays_empty(images, cache, read_only):
    read_only()
    assert ImageDigests(cache).lookup(images, ["a"]) == {"a": (sha(b"a"), "")}
    assert list(cache.iterdir()) == []


def test_a_read_only_index_serves_and_stays_untouched(images, tmp_path, read_only, reads):
    cache = tmp_path / "ca?che #1%20 ä"
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
    os.utime(folder / "a", ns=(0, OLD_NS))
    for _ in range(2):
        assert ImageDigests(cache).lookup(folder, ["a"]) == {"a": (sha(b"a"), "")}
    assert reads == ["a"]
