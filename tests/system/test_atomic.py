import os
import subprocess
import sys
from pathlib import Path

import pytest

from fec_cache.errors import StorageFailed
from fec_cache.system import atomic, failpoints
from fec_cache.system.atomic import remove_leftovers, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_content_replaces_what_was_there(tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(path.parent) == ["file"]


def test_order_is_file_to_disk_then_name_then_folder_to_disk(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(descriptor):
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        steps.append(
            "folder" if name == str(tmp_path) else f"file of {os.fstat(descriptor).st_size}"
        )
        fsync(descriptor)

    def noting_replace(path, target):
        steps.append(f"{path.name[:5]} -> {target.name}")
        return replace(path, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    monkeypatch.setattr(atomic.os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    write_atomically(tmp_path / "file", b"12345")
    assert steps == ["file of 5", ".tmp- -> file", "folder"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failing_disk_leaves_what_was_there_and_no_litter(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(*((atomic.os, step) if step == "fsync" else (Path, step)), fail)
    with pytest.raises(StorageFailed) as caught:
        write_atomically(path, b"new")
    assert str(caught.value).startswith(
        f"{path} (0.0 MB) could not be written: Input/output error. "
    )
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_interrupt_leaves_what_was_there_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_file_where_a_folder_should_be_is_a_storage_failure(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match=r"is safe: check the path, then run"):
        write_atomically(tmp_path / "file" / "below", b"x")


def test_leftovers_go_and_nothing_else(tmp_path):
    for name in (".tmp-1234", "tmp-1234", "file"):
        (tmp_path / name).write_bytes(b"x")
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "not there")
    assert names(tmp_path) == ["file", "tmp-1234"]


def test_a_full_device_is_a_storage_failure(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    # /dev/full refuses every byte with the system's own "No space left on device".
    code = (
        "import sys, pathlib\n"
        "from fec_cache.system import atomic\n"
        "real = pathlib.Path.open\n"
        "pathlib.Path.open = lambda path, mode: real(pathlib.Path('/dev/full'), mode)\n"
        "atomic.write_atomically(pathlib.Path(sys.argv[1]), b'x' * 10)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "StorageFailed" in done.stderr
    assert "No space left on device" in done.stderr


STEPS = ["create", "write", "fsync", "rename", "sync", "done"]


@pytest.fixture
def armed():
    yield failpoints.arm
    failpoints.arm("")


@pytest.mark.parametrize("step", STEPS)
def test_a_failing_step_leaves_the_old_content_or_the_new_and_no_litter(tmp_path, armed, step):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    armed(f"{step}:fi*:1:ENOSPC")
    with pytest.raises(StorageFailed, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == (b"new" if step in ("sync", "done") else b"old")
    assert names(tmp_path) == ["file"]
