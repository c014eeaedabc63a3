"""Sha256 of each image file, remembered by size and mtime so that it is read once.

The index is a small SQLite file in the cache folder. It is only a memory: deleting it costs one
reading of the images and nothing else.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fec_cache.errors import CacheDamaged, StorageFailed

INDEX_NAME = "images.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    folder TEXT NOT NULL, image TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (folder, image)
)"""
_UPSERT = "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)"
_COMMIT_EVERY = 2000
# SQLite's primary result codes for trouble around the file rather than in it.
_OUTSIDE = {5, 6, 8, 10, 13, 14}  # busy, locked, read-only, I/O error, disk full, cannot open
_Progress = Callable[[int, int], None]
_Entry = tuple[int, int, str]


@dataclass(frozen=True)
class ImageDigests:
    """The index of one cache folder.

    With `rehash` every image is read again, whatever its size and mtime say.
    """

    cache_dir: Path
    rehash: bool = False

    @property
    def path(self) -> Path:
        """Where the index lies."""
        return self.cache_dir / INDEX_NAME

    def lookup(
        self, images_dir: Path, images: Sequence[str], on_progress: _Progress | None = None
    ) -> dict[str, tuple[str, str]]:
        """Sha256 of each image, or why there is none.

        Returns:
            image -> (64 hex digits, ""), or ("", reason) for an image that cannot be read.

        Raises:
            CacheDamaged: the index is not an SQLite file of ours.
            StorageFailed: the disk would not take it, or another process held it for a minute.
        """
        with self._connection() as connection:
            if not images_dir.is_dir():
                return _from_memory(connection, images_dir, images)
            return self._from_files(connection, images_dir, images, on_progress)

    def _from_files(
        self,
        connection: sqlite3.Connection,
        images_dir: Path,
        images: Sequence[str],
        on_progress: _Progress | None,
    ) -> dict[str, tuple[str, str]]:
        # SQLite takes UTF-8 only, which a folder's name need not be.
        folder = os.fsencode(images_dir.resolve()).decode(errors="backslashreplace")
        known = {} if self.rehash else _entries(connection, folder)
        found: dict[str, tuple[str, str]] = {}
        fresh: list[tuple[str, str, int, int, str]] = []
        try:
            for number, image in enumerate(images, start=1):
                try:
                    entry = _entry(images_dir / image, known.get(image))
                    found[image] = (entry[2], "")
                    if entry is not known.get(image):
                        fresh.append((folder, image, *entry))
                except (OSError, ValueError) as error:
                    found[image] = ("", _reason(error))
                if len(fresh) >= _COMMIT_EVERY:
                    _remember(connection, fresh)
                if on_progress is not None:
                    on_progress(number, len(images))
        finally:
            _remember(connection, fresh)  # what was read before an interrupt is kept too
        return found

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            # The code is there from Python 3.11 on; the low byte is the primary one.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OUTSIDE:
                raise StorageFailed(
                    f"{self.path} could not be used ({error}). Make room, mend the file's rights "
                    "or wait for the other process, and run the same command again."
                ) from error
            raise CacheDamaged(
                f"{self.path} cannot be used as the index of image digests ({error}). "
                "Delete it: it is made again from the images."
            ) from error

    def _connect(self) -> sqlite3.Connection:
        # A read-only cache still serves: new digests are then kept in memory for this run only.
        is_ours = os.access(self.path if self.path.exists() else self.cache_dir, os.W_OK)
        is_writable = is_ours and os.access(self.cache_dir, os.W_OK)
        connection = sqlite3.connect(self.path if is_writable else ":memory:", timeout=60)
        try:
            if not is_writable and self.path.is_file():
                uri = f"{self.path.resolve().as_uri()}?mode=ro&immutable=1"
                with closing(sqlite3.connect(uri, uri=True)) as source:
                    source.backup(connection)
            connection.execute(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _entries(connection: sqlite3.Connection, folder: str) -> dict[str, _Entry]:
    rows = connection.execute(
        "SELECT image, size_bytes, mtime_ns, sha256 FROM images WHERE folder = ?", (folder,)
    )
    return {image: (size, mtime, sha) for image, size, mtime, sha in rows}


def _from_memory(
    connection: sqlite3.Connection, images_dir: Path, images: Sequence[str]
) -> dict[str, tuple[str, str]]:
    known: dict[str, set[str]] = {}
    for image, sha in connection.execute("SELECT image, sha256 FROM images"):
        known.setdefault(image, set()).add(sha)
    return {image: _only(known.get(image, set()), images_dir) for image in images}


def _only(shas: set[str], images_dir: Path) -> tuple[str, str]:
    if len(shas) == 1:
        return next(iter(shas)), ""
    if shas:
        return "", f"there is no folder {images_dir}, and several images of this name were cached"
    return "", f"there is no folder {images_dir}, and no image of this name was ever cached"


def _remember(connection: sqlite3.Connection, fresh: list[tuple[str, str, int, int, str]]) -> None:
    if fresh:
        with connection:
            connection.executemany(_UPSERT, fresh)
        fresh.clear()


def _entry(path: Path, known: _Entry | None) -> _Entry:
    """Size, mtime and sha256 of a file; `known` itself where size and mtime did not change."""
    status = path.stat()
    if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
        return known
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return status.st_size, status.st_mtime_ns, sha


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return f"cannot be read: {error}"
