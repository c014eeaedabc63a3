"""Faces -> batches with a fixed slot for each face, and the decoding of their pictures."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.images import Picture
from fec_cache.faces.table import Face, face_id_of
from fec_cache.inference.gpu_jpegs import Encoded, JpegDecoder
from fec_cache.system.regular_files import read_regular

# A picture with very many faces is decoded again after this many of them, which bounds memory.
MAX_GROUP = 32
STAGES = ("read", "decode", "network", "write")
Cut = npt.NDArray[np.uint8] | Encoded | str
"""A face's picture [S, S, 3], its JPEG if a GPU will decode it, or why there is no picture."""


@dataclass
class StageSeconds:
    """Seconds of work in each of `STAGES`; all but write are summed over threads."""

    read: float = 0.0
    decode: float = 0.0
    network: float = 0.0
    write: float = 0.0
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, stage: str, seconds: float) -> None:
        """Add to one stage, from any thread."""
        with self._guard:
            setattr(self, stage, getattr(self, stage) + seconds)


@dataclass(eq=False)
class Batch:
    """Up to B faces of one piece of work, each in a slot that depends on the plan alone.

    `pictures` is [B, S, S, 3] uint8, zero in slots without a picture, so that every pass has the
    same shape. `encoded` maps slots to JPEGs that a GPU has yet to decode, `reasons` maps slots to
    why they have no picture.
    """

    piece: int
    faces: tuple[Face, ...]
    pictures: npt.NDArray[np.uint8]
    reasons: dict[int, str] = field(default_factory=dict)
    encoded: dict[int, Encoded] = field(default_factory=dict)
    num_pending: int = 0

    @property
    def rows(self) -> tuple[int, ...]:
        """The slots that hold a picture."""
        return tuple(row for row in range(len(self.faces)) if row not in self.reasons)

    def put(self, row: int, cut: Cut) -> None:
        """Fill one slot."""
        if isinstance(cut, str):
            self.reasons[row] = cut
        elif isinstance(cut, Encoded):
            self.encoded[row] = cut
        else:
            self.pictures[row] = cut
        self.num_pending -= 1


@dataclass(frozen=True)
class Group:
    """Consecutive faces of one image, and their slots."""

    faces: tuple[Face, ...]
    slots: tuple[tuple[Batch, int], ...]

    def put(self, cuts: Sequence[Cut]) -> None:
        """Fill the slots of all faces."""
        for (batch, row), cut in zip(self.slots, cuts, strict=True):
            batch.put(row, cut)


def batches_of(pieces: Iterable[Sequence[Face]], batch_size: int, side: int) -> Iterator[Batch]:
    """Empty batches for the faces of each piece, in order; none holds faces of two pieces.

    Args:
        pieces: the faces of each piece of work.
        batch_size: B.
        side: S, pixels per side of a picture.
    """
    for piece, faces in enumerate(pieces):
        for start in range(0, len(faces), batch_size):
            members = tuple(faces[start : start + batch_size])
            # Pages of zeros take no memory before a picture is written into them.
            pictures = np.zeros((batch_size, side, side, 3), np.uint8)
            yield Batch(piece, members, pictures, num_pending=len(members))


def groups_of(batches: Iterable[Batch]) -> Iterator[Group]:
    """Consecutive faces of one image, to be decoded once; a group may span batches."""
    slots = ((batch, row) for batch in batches for row in range(len(batch.faces)))
    for _, same in groupby(slots, lambda slot: slot[0].faces[slot[1]].ref.image_path):
        while members := tuple(islice(same, MAX_GROUP)):
            yield Group(tuple(batch.faces[row] for batch, row in members), members)


@dataclass(frozen=True)
class Decoder:
    """Reads, decodes and crops faces; the libraries used release the GIL.

    With `jpegs`, plain JPEGs are only read here and decoded on a GPU, batch by batch.
    """

    images_dir: Path
    crop: CropConfig
    seconds: StageSeconds
    jpegs: JpegDecoder | None = None

    def load(self, faces: Sequence[Face], reserve: Callable[[int], None]) -> list[Cut]:
        """For each face of one image, its picture [S, S, 3] uint8, its JPEG, or why there is none.

        Args:
            faces: all of one image.
            reserve: called with the number of bytes that decoding needs, before it begins.
        """
        path = self.images_dir / faces[0].ref.image_path
        started = time.perf_counter()
        try:
            content = read_regular(path)
        except OSError as error:
            return [f"cannot be read: {error.strerror or error}"] * len(faces)
        read = time.perf_counter()
        self.seconds.add("read", read - started)
        try:
            # The file may have changed in the hours since the faces were named by its bytes.
            sha256 = hashlib.sha256(content).hexdigest()
            if any(face_id_of(sha256, face.ref) != face.face_id for face in faces):
                raise BadImage(
                    f"{path.name} has changed since the faces were counted. Run the same "
                    "`fec extract` again, with --rehash."
                )
            picture = Picture(content, path.name)
        except BadImage as error:
            return [str(error)] * len(faces)
        reserve(len(content) + picture.size_bytes([face.ref.box for face in faces], self.crop))
        started = time.perf_counter()
        cuts = [self._cut(picture, content, face) for face in faces]
        self.seconds.add("decode", time.perf_counter() - started)
        return cuts

    def pictures(self, batch: Batch) -> npt.NDArray[np.uint8] | Tensor:
        """All pictures of a batch [B, S, S, 3] uint8, on the GPU if it decodes some of them.

        Raises:
            PicturesDiffer: the GPU decodes them wrongly.
        """
        if self.jpegs is None or not batch.encoded:
            return batch.pictures
        started = time.perf_counter()
        pictures, reasons = self.jpegs.fill(batch.encoded, batch.pictures)
        batch.reasons.update(reasons)
        batch.encoded.clear()
        self.seconds.add("decode", time.perf_counter() - started)
        return pictures

    def _cut(self, picture: Picture, content: bytes, face: Face) -> Cut:
        box = face.ref.box
        try:
            encoded = self.jpegs and self.jpegs.keep(picture, content, face.ref.image, box)
            return encoded or picture.cut(box, self.crop)
        except BadImage as error:
            return str(error)
