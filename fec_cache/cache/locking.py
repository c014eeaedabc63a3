"""The lock that keeps two writers of one cache folder apart; readers need none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from fec_cache.errors import StorageFailed

LOCK_NAME = ".lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a cache folder, which is created if there is none; must not be nested.

    Raises:
        StorageFailed: the folder cannot be written to.
    """
    lock = filelock.FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise StorageFailed(
            f"{folder} cannot be written to: {error.strerror or error}. Check its permissions, or "
            "choose another folder with --cache DIR."
        ) from error
    try:
        yield
    finally:
        lock.release()
