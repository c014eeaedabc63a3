"""Storage of pictures, whole or as crops; files are renamed into place, so never incomplete."""

import hashlib
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.boxes import Box
from fec_cache.datasets.download.config import FetchFailed
from fec_cache.datasets.download.content import Examine, check_content
from fec_cache.datasets.image_paths import CROPPED_NAME, crop_path, url_path
from fec_cache.errors import StorageFailed

_PARTIAL_NAME = ".partial"


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture on the disk: digest and size of the original, and the bytes stored of it."""

    sha256: str
    size_bytes: int
    stored_bytes: int
    width: int
    height: int


class PictureStore:
    """The pictures of one data folder.

    File names are hashes, so no URL can lead outside the folder. Thread-safe.

    Args:
        data_dir: the folder of `images/` and `cropped/images/`.
        keep: `original` or `crop`.
        examine: decodes pictures and crops faces.
    """

    def __init__(self, data_dir: Path, keep: str, examine: Examine) -> None:
        self._images = data_dir / "images"
        self._crops = data_dir / CROPPED_NAME / "images"
        self._is_crop = keep == "crop"
        self._examine = examine
        self._partial = data_dir / _PARTIAL_NAME
        self._count = itertools.count()

    def open(self) -> None:
        """Make the folders and remove files that a killed run left incomplete.

        Raises:
            StorageFailed: the folders or files cannot be written.
        """
        try:
            shutil.rmtree(self._partial, ignore_errors=True)
            for folder in (self._partial, self._crops if self._is_crop else self._images):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(error) from error

    def close(self) -> None:
        """Remove the folder of incomplete files."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def is_whole(self, url: str, boxes: Sequence[Box], stored_bytes: int) -> bool:
        """Whether a picture's files have as many bytes as were written."""
        try:
            return sum(path.stat().st_size for path in self._paths(url, boxes)) == stored_bytes
        except OSError:
            return False

    def has_original(self, url: str) -> bool:
        """Whether a picture's file exists, from a killed run or from elsewhere."""
        return (self._images / url_path(url)).is_file()

    def adopt(self, url: str, boxes: Sequence[Box]) -> StoredPicture | None:
        """Use a picture that is already on the disk; None if its file holds no picture.

        Raises:
            StorageFailed: the crops cannot be written.
        """
        try:
            content = (self._images / url_path(url)).read_bytes()
            return self.keep(url, content, boxes, is_stored=True)
        except (OSError, FetchFailed):
            return None

    def keep(
        self, url: str, content: bytes, boxes: Sequence[Box], is_stored: bool = False
    ) -> StoredPicture:
        """Check what a server sent and store it; `is_stored` if the original already is.

        Raises:
            FetchFailed: the bytes are not a picture; see `check_content`.
            StorageFailed: the folders or files cannot be written.
        """
        examined = check_content(content, self._examine, boxes if self._is_crop else ())
        pictures = examined.crops if self._is_crop else (content,)
        if self._is_crop or not is_stored:
            for path, picture in zip(self._paths(url, boxes), pictures, strict=True):
                self._write(path, picture)
        stored = sum(map(len, pictures))
        sha = hashlib.sha256(content).hexdigest()
        return StoredPicture(sha, len(content), stored, examined.width, examined.height)

    def remove(self, url: str, boxes: Sequence[Box]) -> None:
        """Delete a picture's files, if they exist."""
        for path in self._paths(url, boxes):
            path.unlink(missing_ok=True)

    def _paths(self, url: str, boxes: Sequence[Box]) -> list[Path]:
        if self._is_crop:
            return [self._crops / crop_path(url, box) for box in boxes]
        return [self._images / url_path(url)]

    def _write(self, path: Path, content: bytes) -> None:
        partial = self._partial / str(next(self._count))
        try:
            # Not flushed to disk: the ledger holds the size, so a file that a power cut shortened
            # is found by `is_whole` and fetched again.
            partial.write_bytes(content)
            try:
                partial.replace(path)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                partial.replace(path)
        except OSError as error:
            raise _unwritable(error) from error


def _unwritable(error: OSError) -> StorageFailed:
    where = f" ({os.fspath(error.filename)})" if error.filename else ""
    return StorageFailed(
        f"A picture could not be written: {error.strerror or error}{where}. Free some space, or "
        "store less with --keep crop; then run the same command again: it resumes."
    )
