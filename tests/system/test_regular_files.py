import os
from pathlib import Path

import pytest

from fec_cache.system.regular_files import read_regular


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_a_file_is_read_whole(tmp_path, size):
    path = tmp_path / "a"
    path.write_bytes(os.urandom(size))
    assert read_regular(path) == path.read_bytes()


def test_reads_that_give_less_than_was_asked_are_put_together(tmp_path, monkeypatch):
    path, read = tmp_path / "a", os.read
    path.write_bytes(bytes(range(250)))
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 100)))
    assert read_regular(path) == bytes(range(250))


def test_a_file_that_grew_since_it_was_opened_is_read_to_its_end(tmp_path, monkeypatch):
    path, fstat = tmp_path / "a", os.fstat
    path.write_bytes(b"first")

    def growing(descriptor):
        status = fstat(descriptor)
        with path.open("ab") as file:
            file.write(b", then more")
        return status

    monkeypatch.setattr(os, "fstat", growing)
    assert read_regular(path).startswith(b"first, then more")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_a_file_without_a_size_is_read():
    assert b"VmRSS" in read_regular(Path("/proc/self/status"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are needed")
@pytest.mark.timeout(10)
def test_a_named_pipe_and_a_folder_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_a_name_that_no_file_can_have_is_an_os_error(name):
    with pytest.raises(OSError, match="not a possible file name"):
        read_regular(Path(name))
