"""Triplets -> the unique faces they name, each with a content-derived `face_id`."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fec_cache.datasets.annotations import FaceRef, Triplet
from fec_cache.faces.digests import ImageDigests

FACE_ID_LENGTH = 32
ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class Face:
    """A face whose image is at hand."""

    face_id: str
    ref: FaceRef


@dataclass(frozen=True)
class MissingFace:
    """A face that has no usable image file, and why."""

    ref: FaceRef
    reason: str


@dataclass(frozen=True)
class FaceTable:
    """Unique faces in stable order, parted into those with an image and those without.

    `present` may hold one `face_id` several times: the same image bytes and box under two names.
    """

    present: tuple[Face, ...]
    missing: tuple[MissingFace, ...]

    def ids(self) -> dict[FaceRef, str]:
        """`face_id` of every face that has an image."""
        return {face.ref: face.face_id for face in self.present}

    def unique(self) -> tuple[Face, ...]:
        """The first face of each `face_id`, in order."""
        seen: dict[str, Face] = {}
        for face in self.present:
            seen.setdefault(face.face_id, face)
        return tuple(seen.values())


def unique_refs(triplets: Iterable[Triplet]) -> tuple[FaceRef, ...]:
    """The faces of the triplets, each once, sorted by image and box.

    The order does not depend on the order of the triplets, and the faces of one image stand
    together, so that an image is decoded once.
    """
    # By object first: hashing each mention of a face would take four times as long.
    objects = {id(ref): ref for triplet in triplets for ref in triplet.faces}
    return tuple(sorted(set(objects.values()), key=lambda ref: (ref.image, ref.box)))


def face_id_of(image_sha256: str, ref: FaceRef) -> str:
    """Identity of a face: sha256 over the image's bytes and the box, first 32 hex digits.

    Names do not enter: the same bytes and box under two names are one face, and changed bytes
    under the same name are another face.
    """
    # Adding 0.0 turns -0.0 into 0.0: equal boxes must have one spelling.
    box = ",".join((side + 0.0).hex() for side in ref.box)
    return hashlib.sha256(f"{image_sha256}|{box}".encode()).hexdigest()[:FACE_ID_LENGTH]


def identify_faces(
    refs: Iterable[FaceRef],
    images_dir: Path,
    digests: ImageDigests,
    on_progress: ProgressCallback | None = None,
) -> FaceTable:
    """Give each face its `face_id`, reading only images that are new or changed.

    Where `images_dir` does not exist at all, the digests of an earlier run stand in, so that heads
    can be trained on a machine that has only the annotations and the cache.

    Args:
        refs: faces in the order that the table is to have.
        images_dir: where `FaceRef.image_path` is relative to.
        digests: sha256 of images seen before.
        on_progress: told images done and images in all.
    """
    placed = [(ref, ref.image_path) for ref in refs]
    shas = digests.lookup(images_dir, sorted({path for _, path in placed}), on_progress)
    present: list[Face] = []
    missing: list[MissingFace] = []
    for ref, path in placed:
        sha, reason = shas[path]
        if sha:
            present.append(Face(face_id_of(sha, ref), ref))
        else:
            missing.append(MissingFace(ref, reason))
    return FaceTable(tuple(present), tuple(missing))
