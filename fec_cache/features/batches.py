"""Faces -> batches of pictures, read and decoded by threads ahead of the network."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.config import CropConfig
from fec_cache.errors import BadImage
from fec_cache.faces.images import crop_face, decode_image
from fec_cache.faces.table import Face

_AHEAD_PER_WORKER = 32
_Picture = npt.NDArray[np.uint8] | str
_Result = list[tuple[Face, _Picture]]


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

    def batches(
        self,
        faces: Sequence[Face],
        batch_size: int,
        on_failed: Callable[[Face, str], None],
    ) -> Iterator[Batch]:
        """Batches of constant shape, in the order of the faces; unusable faces are told and left.

        Args:
            faces: what to read; faces of one image stand together and are decoded once.
            batch_size: B.
            on_failed: told each face that cannot be used, and why.
        """
        size = self.crop.input_size
        kept: list[Face] = []
        pictures = np.zeros((batch_size, size, size, 3), np.uint8)
        for face, picture in self._pictures(faces):
            if isinstance(picture, str):
                on_failed(face, picture)
                continue
            pictures[len(kept)] = picture
            kept.append(face)
            if len(kept) == batch_size:
                yield Batch(tuple(kept), pictures)
                kept, pictures = [], np.zeros_like(pictures)
        if kept:
            yield Batch(tuple(kept), pictures)

    def _pictures(self, faces: Sequence[Face]) -> Iterator[tuple[Face, _Picture]]:
        groups = (list(group) for _, group in groupby(faces, lambda face: face.ref.image_path))
        waiting: deque[Future[_Result]] = deque()
        with ThreadPoolExecutor(self.num_workers) as pool:
            try:
                for group in groups:
                    waiting.append(pool.submit(self._load, group))
                    if len(waiting) >= _AHEAD_PER_WORKER * self.num_workers:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, group: Sequence[Face]) -> _Result:
        path = self.images_dir / group[0].ref.image_path
        started = time.perf_counter()
        try:
            content = path.read_bytes()
        except OSError as error:
            return [(face, f"cannot be read: {error.strerror or error}") for face in group]
        read = time.perf_counter()
        try:
            image = decode_image(content, path.name)
            return [(face, crop_face(image, face.ref.box, self.crop)) for face in group]
        except BadImage as error:
            return [(face, str(error)) for face in group]
        finally:
            self.seconds.add("read", read - started)
            self.seconds.add("decode", time.perf_counter() - read)


def default_workers() -> int:
    """Threads for reading and decoding: one per usable core, eight at most."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        usable = os.cpu_count() or 1
    return max(1, min(8, usable))
