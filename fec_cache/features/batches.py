"""Faces -> batches of pictures, read and decoded by threads ahead of the network."""

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.config import CropConfig
from fec_cache.errors import BadImage
from fec_cache.faces.files import read_regular
from fec_cache.faces.images import crop_face, decode_image
from fec_cache.faces.table import Face, face_id_of

_AHEAD_PER_WORKER = 32
Picture = tuple[Face, npt.NDArray[np.uint8] | str]
"""A face with its picture [S, S, 3], or with the reason why there is none."""


@dataclass
class StageSeconds:
    """Seconds of work in each stage; read and decode are summed over threads."""

    read: float = 0.0
    decode: float = 0.0
    network: float = 0.0
    write: float = 0.0
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, stage: str, seconds: float) -> None:
        """Add to one stage, from any thread."""
        with self._guard:
            setattr(self, stage, getattr(self, stage) + seconds)


@dataclass(frozen=True)
class Batch:
    """Up to B faces: `pictures` is [B, S, S, 3] uint8, zero behind the last face."""

    faces: tuple[Face, ...]
    pictures: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Decoder:
    """Reads and crops faces in `num_workers` threads; Pillow works outside of Python's lock."""

    images_dir: Path
    crop: CropConfig
    num_workers: int
    seconds: StageSeconds

    def pictures(self, faces: Iterable[Face]) -> Generator[Picture, None, None]:
        """Each face with its picture [S, S, 3] uint8, or why there is none, in the faces' order.

        The threads end with the iterator. They read ahead by some faces, so that they need not
        wait while the network runs and shards are written.

        Args:
            faces: what to read; faces of one image that stand together are decoded once.
        """
        waiting: deque[tuple[int, Future[list[Picture]]]] = deque()
        num_ahead, most_ahead = 0, _AHEAD_PER_WORKER * self.num_workers
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="decode")
        try:
            for _, same in groupby(faces, lambda face: face.ref.image_path):
                group = list(same)
                waiting.append((len(group), pool.submit(self._load, group)))
                num_ahead += len(group)
                # A group picture may hold very many faces: it is faces that fill the memory.
                while num_ahead >= most_ahead and waiting:
                    num_faces, future = waiting.popleft()
                    num_ahead -= num_faces
                    yield from future.result()
            while waiting:
                yield from waiting.popleft()[1].result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, group: Sequence[Face]) -> list[Picture]:
        path = self.images_dir / group[0].ref.image_path
        started = time.perf_counter()
        try:
            content = read_regular(path)
        except OSError as error:
            return [(face, f"cannot be read: {error.strerror or error}") for face in group]
        read = time.perf_counter()
        try:
            # The file may have changed since the faces were named by its bytes, hours ago perhaps.
            sha256 = hashlib.sha256(content).hexdigest()
            if any(face_id_of(sha256, face.ref) != face.face_id for face in group):
                raise BadImage(
                    f"{path.name} has changed since the faces were counted. Run the same "
                    "`fec extract` again, with --rehash."
                )
            image = decode_image(content, path.name)
            return [(face, crop_face(image, face.ref.box, self.crop)) for face in group]
        except BadImage as error:
            return [(face, str(error)) for face in group]
        finally:
            self.seconds.add("read", read - started)
            self.seconds.add("decode", time.perf_counter() - read)


def batches(
    pictures: Iterable[Picture],
    batch_size: int,
    on_failed: Callable[[Face, str], None],
) -> Iterator[Batch]:
    """Batches of constant shape, in the order of the faces; unusable faces are told and left.

    Args:
        pictures: what `Decoder.pictures` gives.
        batch_size: B.
        on_failed: told each face that cannot be used, and why.
    """
    faces: list[Face] = []
    filled: list[npt.NDArray[np.uint8]] = []
    for face, picture in pictures:
        if isinstance(picture, str):
            on_failed(face, picture)
            continue
        faces.append(face)
        filled.append(picture)
        if len(faces) == batch_size:
            yield _padded(faces, filled, batch_size)
            faces, filled = [], []
    if faces:
        yield _padded(faces, filled, batch_size)


def _padded(
    faces: Sequence[Face], pictures: Sequence[npt.NDArray[np.uint8]], batch_size: int
) -> Batch:
    # Constant shape: with another number of faces, a network may round otherwise.
    padded = np.zeros((batch_size, *pictures[0].shape), np.uint8)
    padded[: len(pictures)] = pictures
    return Batch(tuple(faces), padded)


def default_workers() -> int:
    """Threads for reading and decoding: one per usable core, eight at most."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        usable = os.cpu_count() or 1
    return max(1, min(8, usable))
