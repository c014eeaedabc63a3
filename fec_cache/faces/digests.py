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

from fec_cache.errors import CacheDamaged

INDEX_NAME = "images.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    folder TEXT NOT NULL, image TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (folder, image)
)"""
_UPSERT = "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)"
_COMMIT_EVERY = 2000
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
        folder = str(images_dir.resolve())
        known = {} if self.rehash else _entries(connection, folder)
        found: dict[str, tuple[str, str]] = {}
        fresh: list[tuple[str, str, int, int, str]] = []
        for number, image in enumerate(images, start=1):
            try:
                status = (images_dir / image).stat()
                entry = known.get(image)
                if entry is None or entry[:2] != (status.st_size, status.st_mtime_ns):
                    sha = _digest(images_dir / image)
                    fresh.append((folder, image, status.st_size, status.st_mtime_ns, sha))
                    entry = (status.st_size, status.st_mtime_ns, sha)
                found[image] = (entry[2], "")
            except (OSError, ValueError) as error:
                found[image] = ("", _reason(error))
            if len(fresh) >= _COMMIT_EVERY:
                _remember(connection, fresh)
            if on_progress is not None:
                on_progress(number, len(images))
        _remember(connection, fresh)
        return found

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise CacheDamaged(
                f"{self.path} cannot be used as the index of image digests ({error}). "
                "Delete it: it is made again from the images."
            ) from error

    def _connect(self) -> sqlite3.Connection:
        # A read-only cache still serves: new digests are then kept in memory for this run only.
        if os.access(self.cache_dir, os.W_OK):
            connection = sqlite3.connect(self.path, timeout=60)
            connection.execute(_SCHEMA)
            return connection
        if self.path.is_file():
            source = sqlite3.connect(f"file:{self.path}?mode=ro&immutable=1", uri=True)
            connection = sqlite3.connect(":memory:")
            with closing(source):
                source.backup(connection)
            return connection
        connection = sqlite3.connect(":memory:")
        connection.execute(_SCHEMA)
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


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return f"cannot be read: {error}"
