"""Writing a file to disk whole or not at all."""

import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from fec_cache.errors import FULL_DISK, StorageFailed, system_advice
from fec_cache.system.failpoints import reach

TEMPORARY_PREFIX = ".tmp-"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is either complete on disk or unchanged.

    Temporary name in the same folder, fsync, rename, fsync of the folder.

    Raises:
        StorageFailed: the disk is full, read-only or failing; the old content stays.
    """

    def write(temporary: Path) -> None:
        """Write the bytes."""
        with temporary.open("wb") as file:
            reach("write", path.name)
            file.write(content)

    write_by(path, write, len(content))


def write_by(path: Path, write: Callable[[Path], None], size_bytes: int) -> None:
    """Let `write` fill a temporary file, flush it to disk and rename it to `path`.

    Args:
        path: the file to write.
        write: fills the file at the path that it receives.
        size_bytes: approximate size of the file, for error messages.

    Raises:
        StorageFailed: the disk is full, read-only or failing; the old content stays.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        reach("create", path.name)
        write(temporary)
        # The content must be on disk before the name is: after a power cut, a rename that
        # overtook its data would leave an empty file under the final name.
        reach("fsync", path.name)
        _sync_file(temporary)
        reach("rename", path.name)
        temporary.replace(path)
        reach("sync", path.name)
        _sync_folder(path.parent)
        reach("done", path.name)
    except OSError as error:
        remove_quietly(temporary)
        raise _failure(path, size_bytes, error) from error
    except BaseException:
        remove_quietly(temporary)
        raise


def remove_leftovers(folder: Path, older_than_s: float = 0.0) -> None:
    """Remove temporary files that a killed run left in a folder.

    Without a lock on the folder, `older_than_s` protects files that another process is writing.
    """
    oldest_kept = time.time() - older_than_s
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        try:
            is_old = path.stat().st_mtime <= oldest_kept
        except OSError:
            continue
        if not older_than_s or is_old:
            remove_quietly(path)


def remove_quietly(path: Path) -> None:
    """Remove a file if it exists and can be removed; any other file is left without an error."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # other systems cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(path: Path, size_bytes: int, error: OSError) -> StorageFailed:
    free = ""
    if error.errno in FULL_DISK:
        try:
            free = f"{shutil.disk_usage(path.parent).free / 1e6:.1f} MB are free. "
        except OSError:
            free = "The folder cannot be reached. "
    return StorageFailed(
        f"{path} ({size_bytes / 1e6:.1f} MB) could not be written: {error.strerror or error}. "
        f"{free}Everything written before is safe: {system_advice(error)}"
    )
