"""Sha256 of each image file, stored with size and mtime so that each file is read once.

The index is a text file in the cache folder, one line per image, each line with its own checksum:
a damaged line is ignored. It only saves time: without it, or if it cannot be written, all images
are read again.
"""

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

from fec_cache.system.regular_files import read_regular
from fec_cache.system.timeouts import TooSlow, each_in_time

# Text, not SQLite, which notices no flipped bit in a row: a wrong digest would serve a stale
# vector. Appending a line needs no lock either (decision 6).
INDEX_NAME = "images.index"
_CHECK_DIGITS = 16
_COMMIT_EVERY = 2000
# A file changed twice within one tick of the file system's clock may keep its mtime. So the mtime
# of a file this recent is not stored, and it is read again. The coarsest tick is 2 s, on FAT.
_RECENT_NS = 2_000_000_000
_NO_MTIME = -1
_Progress = Callable[[int, int], None]
_Key = tuple[str, str]
_Entry = tuple[int, int, str]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DigestIndex:
    """Contents of an index file: (folder, image) -> size, mtime in ns, sha256.

    `num_lines` counts the intact lines; later ones replace earlier ones of the same image.
    `damaged_lines` are the line numbers of the others, from 1.
    """

    entries: dict[_Key, _Entry]
    num_lines: int
    damaged_lines: tuple[int, ...]


def read_index(path: Path) -> DigestIndex:
    """Read an index file; a missing one is empty.

    Raises:
        OSError: it exists and cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    entries: dict[_Key, _Entry] = {}
    damaged: list[int] = []
    lines = content.split(b"\n")
    # Whatever follows the last line break is empty, or a line that was not fully written.
    number_of_last = len(lines) - (not lines[-1])
    for number, line in enumerate(lines[:number_of_last], start=1):
        parsed = _parse(line) if number < len(lines) else None
        if parsed is None:
            damaged.append(number)
        else:
            entries[parsed[0]] = parsed[1]
    return DigestIndex(entries, number_of_last - len(damaged), tuple(damaged))


def write_index(path: Path, index: DigestIndex) -> None:
    """Replace an index file by one that lists each image once.

    Raises:
        OSError: it could not be written; the old file is unchanged.
    """
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(b"".join(starmap(_line, index.entries.items())))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class ImageDigests:
    """The index of one cache folder.

    With `rehash` every image is read again, even if its size and mtime did not change. An image
    that takes longer than `limit_s` seconds to read, as on a file system that hangs, counts as
    unreadable.
    """

    cache_dir: Path
    rehash: bool = False
    limit_s: float = 60.0

    @property
    def path(self) -> Path:
        """Path of the index file."""
        return self.cache_dir / INDEX_NAME

    def lookup(
        self, images_dir: Path, images: Sequence[str], on_progress: _Progress | None = None
    ) -> dict[str, tuple[str, str]]:
        """Return the sha256 of each image, or why there is none.

        If `images_dir` does not exist, digests of any folder that had the same image names are
        used, so that a machine without the pictures can work on a cache.

        Returns:
            image -> (64 hex digits, ""), or ("", reason) for an image that cannot be read.
        """
        index = self._read()
        if not images_dir.is_dir():
            return _from_index(index, images_dir, images)
        if index.damaged_lines or index.num_lines > 2 * len(index.entries) + 1000:
            self._try(lambda: write_index(self.path, index))
        return self._from_files(index, images_dir, images, on_progress)

    def _from_files(
        self,
        index: DigestIndex,
        images_dir: Path,
        images: Sequence[str],
        on_progress: _Progress | None,
    ) -> dict[str, tuple[str, str]]:
        folder = str(images_dir.resolve())
        known = {} if self.rehash else index.entries
        results: dict[str, tuple[str, str]] = {}
        new_lines: list[bytes] = []

        def look_up(image: str) -> _Entry | str:
            """Return the image's entry, or why there is none."""
            try:
                return _entry(images_dir / image, known.get((folder, image)))
            except (OSError, ValueError) as error:
                return _reason(error)

        try:
            entries = each_in_time(images, look_up, self.limit_s)
            for number, (image, entry) in enumerate(entries, start=1):
                if isinstance(entry, TooSlow):
                    results[image] = ("", f"could not be read within {self.limit_s:g} s")
                    log.warning("%s %s and is skipped", image, results[image][1])
                elif isinstance(entry, str):
                    results[image] = ("", entry)
                else:
                    results[image] = (entry[2], "")
                    if entry is not known.get((folder, image)):
                        new_lines.append(_line((folder, image), entry))
                if len(new_lines) >= _COMMIT_EVERY:
                    self._append(new_lines)
                if on_progress is not None:
                    on_progress(number, len(images))
        finally:
            self._append(new_lines)  # digests computed before an interrupt are kept too
        return results

    def _read(self) -> DigestIndex:
        try:
            index = read_index(self.path)
        except OSError as error:
            log.warning("%s cannot be read (%s): all images are read again", self.path, error)
            return DigestIndex({}, 0, ())
        if index.damaged_lines:
            log.warning(
                "%s: %d damaged lines are ignored; their images are read again",
                self.path,
                len(index.damaged_lines),
            )
        return index

    def _append(self, lines: list[bytes]) -> None:
        """Add lines in one write, so that lines of other processes cannot end up between them."""
        if lines and self.cache_dir.is_dir():
            self._try(lambda: _append_to(self.path, b"".join(lines)))
        lines.clear()

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            log.info("%s could not be updated (%s)", self.path, error.strerror or error)


def _append_to(path: Path, content: bytes) -> None:
    with path.open("ab+", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            # Otherwise the first new line would continue a last line that was not fully written.
            content = content if file.read(1) == b"\n" else b"\n" + content
        file.write(content)


def _line(key: _Key, entry: _Entry) -> bytes:
    # Escaped as JSON: file names may contain line breaks and bytes that are not UTF-8.
    text = json.dumps([*key, *entry]).encode()
    return _check(text) + b" " + text + b"\n"


def _parse(line: bytes) -> tuple[_Key, _Entry] | None:
    check, _, text = line.partition(b" ")
    if check != _check(text):
        return None
    folder, image, size_bytes, mtime_ns, sha256 = json.loads(text)
    return (folder, image), (size_bytes, mtime_ns, sha256)


def _check(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:_CHECK_DIGITS].encode()


def _from_index(
    index: DigestIndex, images_dir: Path, images: Sequence[str]
) -> dict[str, tuple[str, str]]:
    known: dict[str, set[str]] = {}
    for (_, image), entry in index.entries.items():
        known.setdefault(image, set()).add(entry[2])
    return {image: _unique(known.get(image, set()), images_dir) for image in images}


def _unique(shas: set[str], images_dir: Path) -> tuple[str, str]:
    if len(shas) == 1:
        return next(iter(shas)), ""
    if shas:
        return "", f"there is no folder {images_dir}, and several images of this name were cached"
    return "", f"there is no folder {images_dir}, and no image of this name was cached"


def _entry(path: Path, known: _Entry | None) -> _Entry:
    """Return size, mtime and sha256 of a file; `known` itself if size and mtime did not change."""
    status = path.stat()
    if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
        return known
    is_recent = abs(time.time_ns() - status.st_mtime_ns) < _RECENT_NS
    sha = hashlib.sha256(read_regular(path)).hexdigest()
    return status.st_size, _NO_MTIME if is_recent else status.st_mtime_ns, sha


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return f"cannot be read: {error}"
